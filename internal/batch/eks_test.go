package batch

import (
	"encoding/json"
	"testing"
)

// Definitions for EKS are kept and shown, and none of their jobs is taken.
func TestEKSDefinition(t *testing.T) {
	t.Parallel()
	const (
		pod   = `{"podProperties":{"containers":[{"command":["sleep","60"],"image":"i"}],"hostNetwork":true}}`
		shows = `{"podProperties":{"containers":[{"args":[],"command":["sleep","60"],"env":[],"image":"i","volumeMounts":[]}],"hostNetwork":true,` +
			`"imagePullSecrets":[],"initContainers":[],"volumes":[]}}`
	)
	for name, def := range map[string][]byte{
		"container": edit(string(edit(ec2Def, `-containerProperties`)), `eksProperties=`+pod),
		"node":      edit(nodesDef, `-nodeProperties.nodeRangeProperties.0.container`, `nodeProperties.nodeRangeProperties.0.eksProperties=`+pod),
	} {
		jd, err := NewJobDefinition(def)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var shown struct {
			EKS            json.RawMessage `json:"eksProperties"`
			NodeProperties struct {
				NodeRangeProperties []struct {
					EKS json.RawMessage `json:"eksProperties"`
				} `json:"nodeRangeProperties"`
			} `json:"nodeProperties"`
			Orchestration string `json:"containerOrchestrationType"`
		}
		if err := json.Unmarshal(jd.Document, &shown); err != nil {
			t.Fatal(err)
		}
		got := shown.EKS
		if name == "node" {
			got = shown.NodeProperties.NodeRangeProperties[0].EKS
		}
		if string(got) != shows || shown.Orchestration != "EKS" {
			t.Errorf("%s: shown as %s", name, jd.Document)
		}
		_, err = ResolveJob([]byte(plainJob), Submission{Definition: &jd, Queue: &JobQueue{}})
		wantRefusal(t, err, Unsupported, "batchbox does not run jobs on Amazon EKS: eksProperties is not supported")
	}
}
