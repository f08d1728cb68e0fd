package batch

import (
	"reflect"
	"strings"
	"testing"
)

// TestTaskView reads every member of the view from a definition that has them all.
func TestTaskView(t *testing.T) {
	t.Parallel()
	t.Run("containerProperties on EC2", func(t *testing.T) {
		t.Parallel()
		s := submission(t, `{"jobDefinitionName":"jd","type":"container","containerProperties":{"image":"i:1","command":["c","d"],"jobRoleArn":"job","executionRoleArn":"exec",
			"user":"1:2","readonlyRootFilesystem":true,"privileged":true,"enableExecuteCommand":true,
			"resourceRequirements":[{"type":"VCPU","value":"2"},{"type":"MEMORY","value":"64"},{"type":"GPU","value":"1"}],
			"environment":[{"name":"B","value":"2"},{"name":"A","value":"1"}],"secrets":[{"name":"S","valueFrom":"arn:s"}],
			"ulimits":[{"name":"nofile","softLimit":10,"hardLimit":-1}],
			"linuxParameters":{"initProcessEnabled":true,"sharedMemorySize":32,"tmpfs":[{"containerPath":"/t","size":8,"mountOptions":["noexec"]}],
				"devices":[{"hostPath":"/dev/a","containerPath":"/dev/b","permissions":["READ"]}]},
			"volumes":[{"name":"h","host":{"sourcePath":"/data"}},{"name":"scratch"},{"name":"e","efsVolumeConfiguration":{"fileSystemId":"fs-12345678","rootDirectory":"/",
				"transitEncryption":"ENABLED","authorizationConfig":{"accessPointId":"ap"}}},{"name":"s3","s3filesVolumeConfiguration":{"fileSystemArn":"arn:s3"}}],
			"mountPoints":[{"sourceVolume":"h","containerPath":"/h","readOnly":true},{"sourceVolume":"e","containerPath":"/e"}],
			"logConfiguration":{"logDriver":"awslogs","options":{"awslogs-group":"g"},"secretOptions":[{"name":"T","valueFrom":"arn:t"}]},
			"repositoryCredentials":{"credentialsParameter":"arn:cred"}}}`)
		got, err := resolve(t, s).Task(0)
		if err != nil {
			t.Fatal(err)
		}
		want := TaskView{
			ExecutionRole: "exec", TaskRole: "job", EnableExecuteCommand: true,
			Volumes: []Volume{
				{Name: "h", HostPath: "/data"}, {Name: "scratch"}, {Name: "e", EFS: &EFSVolume{"fs-12345678", "/", "ap"}}, {Name: "s3", S3Files: "arn:s3"},
			},
			Containers: []ContainerView{{
				Name: "default", Image: "i:1", Command: []string{"c", "d"}, Environment: []NameValue{{"B", "2"}, {"A", "1"}}, Secrets: []NameValue{{"S", "arn:s"}},
				MilliCPU: 2000, MemoryMiB: 64, GPU: 1, User: "1:2", Ulimits: []Ulimit{{"nofile", 10, -1}}, Tmpfs: []Tmpfs{{"/t", 8, []string{"noexec"}}},
				Devices: []Device{{"/dev/a", "/dev/b", []string{"READ"}}}, MountPoints: []MountPoint{{"h", "/h", true}, {"e", "/e", false}},
				Log:             &LogSettings{"awslogs", map[string]string{"awslogs-group": "g"}, []NameValue{{"T", "arn:t"}}},
				SharedMemoryMiB: 32, InitProcessEnabled: true, ReadonlyRootFilesystem: true, Privileged: true, Essential: true, RegistryCredentials: "arn:cred",
			}},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
	t.Run("containerProperties on Fargate, as little as possible", func(t *testing.T) {
		t.Parallel()
		got, err := resolve(t, submission(t, fargateDef, `containerProperties.networkConfiguration.assignPublicIp="ENABLED"`,
			`containerProperties.runtimePlatform={"cpuArchitecture":"ARM64","operatingSystemFamily":"LINUX"}`, `containerProperties.ephemeralStorage.sizeInGiB=30`)).Task(0)
		want := TaskView{
			ExecutionRole: "arn:aws:iam::111122223333:role/exec", PlatformVersion: "LATEST", CPUArchitecture: "ARM64",
			EphemeralStorageGiB: 30, Containers: []ContainerView{{Name: "default", Image: "busybox", MilliCPU: 250, MemoryMiB: 512, Essential: true}},
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
		}
	})
	t.Run("ecsProperties", func(t *testing.T) {
		t.Parallel()
		got, err := resolve(t, submission(t, ecsDef, taskPath+`taskRoleArn="role"`, taskPath+`pidMode="task"`, taskPath+`ipcMode="task"`, taskPath+`platformVersion="1.4.0"`,
			taskPath+`enableExecuteCommand=true`, taskPath+`containers.0.dependsOn=[{"containerName":"side","condition":"SUCCESS"}]`,
			taskPath+`containers.0.startTimeout=30`, taskPath+`containers.0.stopTimeout=60`)).Task(0)
		want := TaskView{
			ExecutionRole: "arn:aws:iam::111122223333:role/exec", TaskRole: "role", PIDMode: "task", IPCMode: "task", PlatformVersion: "1.4.0", EnableExecuteCommand: true,
			Containers: []ContainerView{
				{Name: "main", Image: "busybox", MilliCPU: 500, MemoryMiB: 1024, Essential: true, DependsOn: []ContainerDep{{"side", "SUCCESS"}}, StartTimeout: 30, StopTimeout: 60},
				{Name: "side", Image: "busybox", MilliCPU: 500, MemoryMiB: 1024},
			},
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
		}
	})
	t.Run("a broken spec", func(t *testing.T) {
		t.Parallel()
		for _, s := range []Spec{{}, {Container: []byte(`[]`)}, {ECS: []byte(`{}`)}, {Nodes: []byte(`{"numNodes":1}`)}, {Container: []byte(`{"image":"i"}`)}} {
			if _, err := s.Task(0); err == nil {
				t.Errorf("%+v has a task", s)
			}
		}
	})
}

func TestLogPrefix(t *testing.T) {
	t.Parallel()
	for definition, want := range map[string]string{"jd:1": "jd", "jd": "jd", strings.Repeat("a", 201) + ":12": strings.Repeat("a", 200)} {
		if got := (&Spec{Definition: definition}).LogPrefix(); got != want {
			t.Errorf("%s: %s", definition, got)
		}
	}
}
