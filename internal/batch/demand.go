package batch

// DefaultContainer is the name AWS gives the only container of a job.
const DefaultContainer = defaultContainer

// MilliCPU is what one attempt takes of a compute environment, in thousandths of a vCPU: all nodes together.
func (s *Spec) MilliCPU() int64 {
	var sum int64
	for _, d := range s.Demand {
		sum += d.MilliCPU
	}
	return sum
}

// Tasks is how many tasks one attempt consists of: one, or one for each node.
func (s *Spec) Tasks() int { return max(1, s.NumNodes) }

// LogStream is the name of a container's log stream: prefix, container and task id (User Guide, "Using the awslogs log
// driver"). It is "" for a log driver other than awslogs.
//
// unverified: the middle part in jobs of several containers, by analogy with ECS.
func (s *Spec) LogStream(c *ContainerView, taskID string) string {
	prefix := s.LogPrefix()
	if c.Log != nil {
		if c.Log.Driver != "" && c.Log.Driver != "awslogs" {
			return ""
		}
		if p := c.Log.Options["awslogs-stream-prefix"]; p != "" {
			prefix = p
		}
	}
	return prefix + "/" + c.Name + "/" + taskID
}
