package batch

// maxPodContainers is how many containers, and how many init containers, a pod can have (API reference, EksPodProperties).
const maxPodContainers = 10

// errEKS refuses to run what has eksProperties. Definitions of that kind are kept and shown, as the stacks they belong to
// need; no queue here can run their jobs.
func errEKS() error {
	return Unsupportedf("batchbox does not run jobs on Amazon EKS: eksProperties is not supported")
}

// checkEKSProperties checks the eksProperties of a definition or of a node range: how many containers there are, and that
// each has an image.
//
// unverified: the texts.
func checkEKSProperties(eks object, fargate bool) error {
	pod, ok := eks.object("podProperties")
	if fargate {
		return Invalidf("eksProperties is not applicable for Fargate.")
	}
	if !ok {
		return Invalidf("podProperties is required for eksProperties.")
	}
	for _, member := range []string{"containers", "initContainers"} {
		containers := pod.objects(member)
		if n := len(containers); n > maxPodContainers || n == 0 && member == "containers" {
			return Invalidf("podProperties must have between 1 and %d containers, and up to %d initContainers.", maxPodContainers, maxPodContainers)
		}
		for _, c := range containers {
			if c.str("image") == "" {
				return Invalidf("Image is required for each of the %s of podProperties.", member)
			}
		}
	}
	return nil
}

// isEKS tells whether a definition, or any of its node ranges, has eksProperties.
func isEKS(doc object) bool {
	if doc.has("eksProperties") {
		return true
	}
	nodes, _ := doc.object("nodeProperties")
	for _, r := range nodes.objects("nodeRangeProperties") {
		if r.has("eksProperties") {
			return true
		}
	}
	return false
}

// normaliseEKS fills in the lists of eksProperties that come back empty when not given: those that
// TestAccBatchJobDefinition_NodeProperties_withEKS of Terraform's AWS provider expects, and the command by analogy.
func normaliseEKS(eks object) {
	pod, ok := eks.object("podProperties")
	if !ok {
		return
	}
	for _, m := range []string{"imagePullSecrets", "initContainers", "volumes"} {
		pod.setDefault(m, []any{})
	}
	for _, c := range append(pod.objects("containers"), pod.objects("initContainers")...) {
		for _, m := range []string{"args", "command", "env", "volumeMounts"} {
			c.setDefault(m, []any{})
		}
	}
}
