package ec2_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

// Terraform's documentation of aws_key_pair uses the first; the second is github.com's host key, whose fingerprint is
// published.
const (
	rsaKey     = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC3F6tyPEFEzV0LX3X8BsXdMsQz1x2cEikKDEY0aIj41qgxMCP/iteneqXSIFZBp5vizPvaoIR3Um9xK7PGoW8giupGn+EPuxIA4cDM4vzOqOkiMPhz5XK0whEjkVzTo4+S0puvDZuwIsdiW9mxhJc7tgBNL0cYlWSYVkz4G/fslNfRPW5mYAM49f4fhtxPb5ok4Q2Lg9dPKVHO/Bgeu5woMc7RY0p1ej6D4CKFE6lymSDJpW0YHX/wqE9+cfEauh7xZcG0q9t2ta6F6fmX0agvpFyZo8aFbXeUBr7osSCJNgvavWbM/06niWrOvYX2xwWdhXmXSrbX8ZbabVohBK41 email@example.com"
	ed25519Key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me@example.com"
)

func TestImportKeyPair(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	imported := c.call("ImportKeyPair", append(tagged("key-pair", "k", "v"), "KeyName", "deployer", "PublicKeyMaterial", base64.StdEncoding.EncodeToString([]byte(rsaKey+"\n")))...)
	id := imported.text("keyPairId")
	c.same("fingerprint", imported.text("keyFingerprint"), "ca:0a:d8:d2:78:f9:9e:4e:ac:a9:22:61:9a:a4:24:67")
	read := c.call("DescribeKeyPairs", "KeyName.1", "deployer", "IncludePublicKey", "true")
	for path, want := range map[string]string{
		"keyPairId": id, "keyName": "deployer", "keyType": "rsa", "publicKey": rsaKey, "createTime": "2026-11-23T12:00:00.000Z", "tagSet/item/value": "v",
	} {
		c.same(path, read.text("keySet/item/"+path), want)
	}
	c.same("not asked for", c.call("DescribeKeyPairs", "KeyPairId.1", id).texts("keySet/item/publicKey"), "")
	c.same("the other kind", c.call("ImportKeyPair", "KeyName", "ed", "PublicKeyMaterial", base64.StdEncoding.EncodeToString([]byte(ed25519Key))).text("keyFingerprint"),
		"+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU=")
	c.refused("InvalidKeyPair.Duplicate", "The keypair already exists", "ImportKeyPair", "KeyName", "deployer", "PublicKeyMaterial", base64.StdEncoding.EncodeToString([]byte(rsaKey)))
	for _, bad := range []string{"", "nonsense", "ssh-rsa", "ssh-rsa !!!", "ssh-dss " + strings.Fields(rsaKey)[1], strings.Fields(rsaKey)[1][:40]} {
		c.refused("InvalidKey.Format", "Key is not in valid OpenSSH public key format", "ImportKeyPair", "KeyName", "bad", "PublicKeyMaterial", base64.StdEncoding.EncodeToString([]byte(bad)))
	}
	c.refused("InvalidKeyPair.NotFound", "The key pair 'none' does not exist", "DescribeKeyPairs", "KeyName.1", "none")
	c.same("deleted", c.call("DeleteKeyPair", "KeyName", "deployer").text("keyPairId"), id)
	c.call("DeleteKeyPair", "KeyName", "deployer") // which is no error
	c.refused("InvalidKeyPair.NotFound", "The key pair 'deployer' does not exist", "DescribeKeyPairs", "KeyName.1", "deployer")
}

// TestKeyForms: the same key in the other forms EC2 takes has the same fingerprint.
func TestKeyForms(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	made := c.call("CreateKeyPair", "KeyName", "made")
	block, _ := pem.Decode([]byte(made.text("keyMaterial")))
	if block == nil || block.Type != "RSA PRIVATE KEY" {
		t.Fatalf("the private key is %s", made.text("keyMaterial"))
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	check(t, err)
	if n := len(strings.Split(made.text("keyFingerprint"), ":")); n != 20 {
		t.Errorf("the fingerprint of a key made here has %d bytes", n)
	}
	line := c.call("DescribeKeyPairs", "IncludePublicKey", "true").text("keySet/item/publicKey")
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	check(t, err)
	blob := strings.Fields(line)[1]
	var prints []string
	for name, form := range map[string]string{
		"line":   line,
		"pem":    string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"der":    base64.StdEncoding.EncodeToString(der),
		"rfc":    "---- BEGIN SSH2 PUBLIC KEY ----\nComment: \"a \\\nlong one\"\n" + blob[:70] + "\n" + blob[70:] + "\n---- END SSH2 PUBLIC KEY ----\n",
		"spaces": "  " + line + "\n",
	} {
		got := c.call("ImportKeyPair", "KeyName", name, "PublicKeyMaterial", base64.StdEncoding.EncodeToString([]byte(form)))
		prints = append(prints, got.text("keyFingerprint"))
	}
	if len(slices.Compact(prints)) != 1 || len(strings.Split(prints[0], ":")) != 16 {
		t.Errorf("fingerprints %v", prints)
	}
}

// TestPrivateKey has ssh-keygen read the keys made here.
func TestPrivateKey(t *testing.T) {
	t.Parallel()
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("no ssh-keygen on PATH")
	}
	c := newClient(t)
	for _, typ := range []string{"rsa", "ed25519"} {
		made := c.call("CreateKeyPair", "KeyName", typ, "KeyType", typ)
		file := filepath.Join(t.TempDir(), "key")
		check(t, os.WriteFile(file, []byte(made.text("keyMaterial")), 0o600))
		out, err := exec.CommandContext(t.Context(), keygen, "-y", "-f", file).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", typ, err, out)
			continue
		}
		want := c.call("DescribeKeyPairs", "KeyName.1", typ, "IncludePublicKey", "true").text("keySet/item/publicKey")
		if got := strings.Fields(string(out)); len(got) < 2 || got[1] != strings.Fields(want)[1] {
			t.Errorf("%s: ssh-keygen reads %s, want %s", typ, out, want)
		}
	}
}

func TestKeyPairRefusals(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	c.refused("MissingParameter", "The request must contain the parameter KeyName", "CreateKeyPair")
	c.refused("InvalidParameterValue", "Value (dsa) for parameter KeyType is invalid.", "CreateKeyPair", "KeyName", "k", "KeyType", "dsa")
	c.refused("UnsupportedOperation", "batchbox writes private keys as PEM only.", "CreateKeyPair", "KeyName", "k", "KeyFormat", "ppk")
	if n := len(c.call("DescribeKeyPairs").all("keySet/item")); n != 0 {
		t.Errorf("%d key pairs", n)
	}
}

// TestLaunchTemplate goes Terraform's way through aws_launch_template: create, read, new version, set default, delete.
func TestLaunchTemplate(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	const d = "LaunchTemplateData."
	data := []string{
		d + "ImageId", "ami-1", d + "InstanceType", "c5.large", d + "UserData", "IyEvYmluL3No", d + "EbsOptimized", "true", d + "SecurityGroupId.1", "sg-1", d + "SecurityGroupId.2", "sg-2",
		d + "BlockDeviceMapping.1.DeviceName", "/dev/xvda", d + "BlockDeviceMapping.1.Ebs.VolumeSize", "100", d + "BlockDeviceMapping.1.Ebs.VolumeType", "gp3",
		d + "IamInstanceProfile.Name", "ecs", d + "Monitoring.Enabled", "true", d + "MetadataOptions.HttpTokens", "required", d + "MetadataOptions.HttpPutResponseHopLimit", "2",
		d + "NetworkInterface.1.DeviceIndex", "0", d + "NetworkInterface.1.SecurityGroupId.1", "sg-3", d + "NetworkInterface.1.AssociatePublicIpAddress", "true",
		d + "TagSpecification.1.ResourceType", "instance", d + "TagSpecification.1.Tag.1.Key", "k", d + "TagSpecification.1.Tag.1.Value", "v",
		d + "InstanceMarketOptions.MarketType", "spot", d + "InstanceMarketOptions.SpotOptions.MaxPrice", "0.5", d + "Placement.GroupName", "pg", d + "CpuOptions.CoreCount", "2",
		d + "LicenseSpecification.1.LicenseConfigurationArn", "arn:x",
	}
	created := c.call("CreateLaunchTemplate", append(append(data, "LaunchTemplateName", "batch", "VersionDescription", "first"), tagged("launch-template", "t", "u")...)...)
	id := created.text("launchTemplate/launchTemplateId")
	for path, want := range map[string]string{
		"launchTemplateName": "batch", "defaultVersionNumber": "1", "latestVersionNumber": "1", "createdBy": "arn:aws:iam::111122223333:root", "createTime": "2026-11-23T12:00:00Z", "tagSet/item/value": "u",
	} {
		c.same(path, created.text("launchTemplate/"+path), want)
	}
	read := c.call("DescribeLaunchTemplateVersions", "LaunchTemplateId", id, "LaunchTemplateVersion.1", "1")
	version := read.all("launchTemplateVersionSet/item")[0]
	for path, want := range map[string]string{
		"imageId": "ami-1", "instanceType": "c5.large", "userData": "IyEvYmluL3No", "ebsOptimized": "true", "securityGroupIdSet/item": "sg-1 sg-2",
		"blockDeviceMappingSet/item/deviceName": "/dev/xvda", "blockDeviceMappingSet/item/ebs/volumeSize": "100", "blockDeviceMappingSet/item/ebs/volumeType": "gp3",
		"iamInstanceProfile/name": "ecs", "monitoring/enabled": "true", "metadataOptions/httpTokens": "required", "metadataOptions/httpPutResponseHopLimit": "2",
		"networkInterfaceSet/item/deviceIndex": "0", "networkInterfaceSet/item/groupSet/groupId": "sg-3", "networkInterfaceSet/item/associatePublicIpAddress": "true",
		"tagSpecificationSet/item/resourceType": "instance", "tagSpecificationSet/item/tagSet/item/value": "v", "instanceMarketOptions/spotOptions/maxPrice": "0.5",
		"placement/groupName": "pg", "cpuOptions/coreCount": "2", "licenseSet/item/licenseConfigurationArn": "arn:x", "keyName": "",
	} {
		c.same(path, version.texts("launchTemplateData/"+path), want)
	}
	c.same("description", version.text("versionDescription"), "first")

	c.refused("InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use.", "CreateLaunchTemplate", "LaunchTemplateName", "batch", d+"ImageId", "ami-2")
	second := c.call("CreateLaunchTemplateVersion", "LaunchTemplateId", id, "SourceVersion", "$Default", d+"ImageId", "ami-2")
	c.same("the new version", second.text("launchTemplateVersion/versionNumber"), "2")
	c.same("its own", second.text("launchTemplateVersion/launchTemplateData/imageId"), "ami-2")
	c.same("of its source", second.text("launchTemplateVersion/launchTemplateData/instanceType"), "c5.large")
	third := c.call("CreateLaunchTemplateVersion", "LaunchTemplateName", "batch", d+"ImageId", "ami-3")
	c.same("without a source", third.text("launchTemplateVersion/launchTemplateData/instanceType"), "")
	modified := c.call("ModifyLaunchTemplate", "LaunchTemplateId", id, "SetDefaultVersion", "3")
	c.same("default", modified.text("launchTemplate/defaultVersionNumber"), "3")
	listed := func(parameters ...string) string {
		t.Helper()
		return c.call("DescribeLaunchTemplateVersions", parameters...).texts("launchTemplateVersionSet/item/versionNumber")
	}
	c.same("all versions", listed("LaunchTemplateId", id), "3 2 1")
	c.same("some versions", listed("LaunchTemplateId", id, "MinVersion", "2", "MaxVersion", "2"), "2")
	c.same("named versions", listed("LaunchTemplateId", id, "LaunchTemplateVersion.1", "$Latest", "LaunchTemplateVersion.2", "$Default", "LaunchTemplateVersion.3", "1"), "3 1")
	c.same("the latest of all", listed("LaunchTemplateVersion.1", "$Latest"), "3")
	c.same("filtered", listed(append(filtered("image-id", "ami-2"), "LaunchTemplateId", id)...), "2")
	deleted := c.call("DeleteLaunchTemplateVersions", "LaunchTemplateId", id, "LaunchTemplateVersion.1", "1", "LaunchTemplateVersion.2", "3", "LaunchTemplateVersion.3", "9")
	c.same("deleted", deleted.texts("successfullyDeletedLaunchTemplateVersionSet/item/versionNumber"), "1")
	c.same("not deleted", deleted.texts("unsuccessfullyDeletedLaunchTemplateVersionSet/item/responseError/code"), "unexpectedError launchTemplateVersionDoesNotExist")
	c.same("number not used again", c.call("CreateLaunchTemplateVersion", "LaunchTemplateId", id, d+"ImageId", "ami-4").text("launchTemplateVersion/versionNumber"), "4")

	c.same("by name", c.call("DescribeLaunchTemplates", "LaunchTemplateName.1", "batch").texts("launchTemplates/item/launchTemplateId"), id)
	c.same("by filter", c.call("DescribeLaunchTemplates", filtered("launch-template-name", "b*", "tag:t", "u")...).texts("launchTemplates/item/latestVersionNumber"), "4")
	c.call("DeleteLaunchTemplate", "LaunchTemplateId", id)
	c.refused("InvalidLaunchTemplateId.NotFound", "The specified launch template, with template ID "+id+", does not exist.", "DescribeLaunchTemplates", "LaunchTemplateId.1", id)
	c.refused("InvalidLaunchTemplateName.NotFoundException", "The specified launch template, with template name batch, does not exist.", "DescribeLaunchTemplateVersions", "LaunchTemplateName", "batch")
}

func TestLaunchTemplateRefusals(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	const d = "LaunchTemplateData."
	id := c.call("CreateLaunchTemplate", "LaunchTemplateName", "one", d+"ImageId", "ami-1").text("launchTemplate/launchTemplateId")
	for _, tc := range []struct {
		code, text, action string
		parameters         []string
	}{
		{"MissingParameter", "The request must contain the parameter LaunchTemplateName", "CreateLaunchTemplate", []string{d + "ImageId", "ami-1"}},
		{"MissingParameter", "The request must contain the parameter LaunchTemplateData", "CreateLaunchTemplate", []string{"LaunchTemplateName", "two"}},
		{"InvalidLaunchTemplateName.MalformedException", "Launch template names must be between 3 and 128 characters, and may contain letters, numbers, and the following characters: ( ) . - / _",
			"CreateLaunchTemplate", []string{"LaunchTemplateName", "a b", d + "ImageId", "ami-1"}},
		{"InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.", "CreateLaunchTemplate", []string{"LaunchTemplateName", "two", d + "UserData", "#!/bin/sh"}},
		{"InvalidParameterCombination", "InstanceRequirements and InstanceType cannot both be specified in one launch template", "CreateLaunchTemplate",
			[]string{"LaunchTemplateName", "two", d + "InstanceType", "c5.large", d + "InstanceRequirements.VCpuCount.Min", "1"}},
		{"InvalidLaunchTemplateId.Malformed", `Invalid id: "one" (expecting "lt-...")`, "DeleteLaunchTemplate", []string{"LaunchTemplateId", "one"}},
		{"InvalidLaunchTemplateId.VersionNotFound", "Could not find the specified version 7 for the launch template with ID " + id + ".", "DescribeLaunchTemplateVersions", []string{"LaunchTemplateId", id, "LaunchTemplateVersion.1", "7"}},
		{"InvalidLaunchTemplateId.VersionNotFound", "Could not find the specified version 7 for the launch template with ID " + id + ".", "ModifyLaunchTemplate", []string{"LaunchTemplateId", id, "SetDefaultVersion", "7"}},
		{"MissingParameter", "The request must contain the parameter LaunchTemplateId", "DescribeLaunchTemplateVersions", []string{"LaunchTemplateVersion.1", "1"}},
	} {
		c.refused(tc.code, tc.text, tc.action, tc.parameters...)
	}
}

func TestPlacementGroup(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	for name, tc := range map[string]struct {
		parameters         []string
		partitions, spread string
	}{
		"cluster":   {[]string{"Strategy", "cluster"}, "", ""},
		"spread":    {[]string{"Strategy", "spread"}, "", "rack"},
		"partition": {[]string{"Strategy", "partition", "PartitionCount", "4"}, "4", ""},
	} {
		made := c.call("CreatePlacementGroup", append(append(tc.parameters, "GroupName", name), tagged("placement-group", "k", "v")...)...)
		read := c.call("DescribePlacementGroups", "GroupName.1", name)
		for path, want := range map[string]string{
			"groupName": name, "strategy": name, "state": "available", "partitionCount": tc.partitions, "spreadLevel": tc.spread, "groupId": made.text("placementGroup/groupId"),
			"groupArn": "arn:aws:ec2:eu-west-1:111122223333:placement-group/" + name, "tagSet/item/value": "v",
		} {
			c.same(name+" "+path, read.text("placementGroupSet/item/"+path), want)
		}
	}
	c.refused("InvalidPlacementGroup.Duplicate", "The Placement Group 'cluster' already exists.", "CreatePlacementGroup", "GroupName", "cluster", "Strategy", "cluster")
	c.refused("InvalidParameterValue", "Value (near) for parameter strategy is invalid.", "CreatePlacementGroup", "GroupName", "x", "Strategy", "near")
	c.same("by strategy", c.call("DescribePlacementGroups", filtered("strategy", "spread")...).texts("placementGroupSet/item/groupName"), "spread")
	c.call("DeletePlacementGroup", "GroupName", "cluster")
	c.refused("InvalidPlacementGroup.Unknown", "The Placement Group 'cluster' is unknown.", "DescribePlacementGroups", "GroupName.1", "cluster")
	c.refused("InvalidPlacementGroup.Unknown", "The Placement Group 'cluster' is unknown.", "DeletePlacementGroup", "GroupName", "cluster")
}
