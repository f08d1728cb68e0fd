package batch

// maxTaskContainers is the number of containers a task of ecsProperties may have.
const maxTaskContainers = 10

// checkContainerProperties checks one containerProperties member (or container, of a node range) and returns what it asks
// for.
func checkContainerProperties(c object, fargate bool) (Demand, error) {
	s := containerScope(c, fargate)
	d, err := s.checkContainer(c)
	if err != nil {
		return Demand{}, err
	}
	if err := s.checkVolumes(c); err != nil {
		return Demand{}, err
	}
	if err := s.checkTask(c); err != nil {
		return Demand{}, err
	}
	return d, s.refuseWindows()
}

// checkECSProperties checks an ecsProperties member and returns what its task asks for.
func checkECSProperties(ecs object, fargate bool) (Demand, error) {
	tasks := ecs.objects("taskProperties")
	if len(tasks) != 1 {
		// unverified: text; the rule is in the API reference, EcsProperties.
		return Demand{}, Invalidf("Number of taskProperties must be 1")
	}
	task := tasks[0]
	s := ecsScope(task, fargate)
	containers := task.objects("containers")
	if err := checkTaskContainers(containers); err != nil {
		return Demand{}, err
	}
	if err := s.checkModes(task); err != nil {
		return Demand{}, err
	}
	demands := make([]Demand, len(containers))
	for i, c := range containers {
		var err error
		if demands[i], err = s.checkContainer(c); err != nil {
			return Demand{}, err
		}
		if err := s.checkTimeouts(c); err != nil {
			return Demand{}, err
		}
	}
	if err := s.checkVolumes(task); err != nil {
		return Demand{}, err
	}
	if err := s.checkTask(task); err != nil {
		return Demand{}, err
	}
	if !fargate {
		return sumDemand(demands), s.refuseWindows()
	}
	total, err := fargateTaskDemand(demands)
	if err != nil {
		return Demand{}, err
	}
	return total, s.refuseWindows()
}

// essential says whether the container's end is the task's; true when not given.
func essential(c object) bool {
	e, given := c.boolean("essential")
	return e || !given
}

// checkTaskContainers checks how the containers of a task stand to each other. The texts on names and firelens were
// recorded from the service by the cdk-preflight project.
func checkTaskContainers(containers []object) error {
	if n := len(containers); n < 1 || n > maxTaskContainers {
		return Invalidf("Number of containers must be between 1 and %d", maxTaskContainers)
	}
	byName := make(map[string]object, len(containers))
	anyEssential, firelens, toFirelens := false, false, false
	for _, c := range containers {
		name := c.str("name")
		if byName[name] != nil {
			return Invalidf("Container names must be unique")
		}
		if name == "" && len(containers) > 1 {
			return Invalidf("Container name is required.") // unverified: text
		}
		byName[name] = c
		anyEssential = anyEssential || essential(c)
		firelens = firelens || c.has("firelensConfiguration")
		logging, _ := c.object("logConfiguration")
		toFirelens = toFirelens || logging.str("logDriver") == "awsfirelens"
	}
	if !anyEssential {
		return Invalidf("At least one container must be set as essential")
	}
	if firelens && !toFirelens {
		return Invalidf("When a firelensConfiguration object is specified, at least one container has to be configured with the awsfirelens log driver")
	}
	for _, c := range containers {
		if err := checkDependencies(c, byName); err != nil {
			return err
		}
	}
	return checkAcyclic(containers, byName)
}

func checkDependencies(c object, byName map[string]object) error {
	for _, d := range c.objects("dependsOn") {
		target, condition := d.str("containerName"), d.str("condition")
		switch {
		case len(byName) == 1:
			return Invalidf("Container dependency can not be used in a single-container job.")
		case !oneOf(condition, "START", "COMPLETE", "SUCCESS"):
			return Invalidf("TaskContainer dependency %s is not valid. Valid values are: [START, COMPLETE, SUCCESS]", condition)
		case byName[target] == nil:
			return Invalidf("containerName %s must reference a defined container.", target)
		case condition != "START" && essential(byName[target]):
			return Invalidf("The container target of a dependency can not have condition %s if the target is essential", condition)
		}
	}
	return nil
}

// checkAcyclic refuses containers that wait for each other, which could never start.
//
// unverified: that Batch refuses it at registration, and the text; ECS does refuse such a task definition.
func checkAcyclic(containers []object, byName map[string]object) error {
	const visiting, done = 1, 2
	state := map[string]int{}
	var visit func(c object) error
	visit = func(c object) error {
		name := c.str("name")
		switch state[name] {
		case visiting:
			return Invalidf("Container dependencies must not form a cycle: %s", name)
		case done:
			return nil
		}
		state[name] = visiting
		for _, d := range c.objects("dependsOn") {
			if err := visit(byName[d.str("containerName")]); err != nil {
				return err
			}
		}
		state[name] = done
		return nil
	}
	for _, c := range containers {
		if err := visit(c); err != nil {
			return err
		}
	}
	return nil
}

// checkModes checks pidMode and ipcMode; the texts were recorded from the service by the cdk-preflight project.
func (s taskScope) checkModes(task object) error {
	pid, ipc := task.str("pidMode"), task.str("ipcMode")
	switch {
	case !oneOf(pid, "", "host", "task"):
		return Invalidf("Capability %s is not valid. Valid capabilities: [host, task]", pid)
	case !oneOf(ipc, "", "host", "task", "none"):
		return Invalidf("ipcMode %s is not valid. Valid values are: [host, task, none]", ipc)
	case s.fargate && pid == "host":
		return Invalidf("pidMode host is not applicable for Fargate.") // unverified: text
	case s.fargate && oneOf(ipc, "host", "none"):
		return Invalidf("ipcMode %s is not applicable for Fargate.", ipc) // unverified: text
	}
	return nil
}

// Bounds of startTimeout and stopTimeout in seconds; the upper one is Fargate's (API reference, TaskContainerProperties).
const minContainerTimeout, maxContainerTimeout = 2, 120

// checkTimeouts checks startTimeout and stopTimeout.
//
// unverified: the text.
func (s taskScope) checkTimeouts(c object) error {
	for _, m := range []string{"startTimeout", "stopTimeout"} {
		n, ok := c.integer(m)
		if ok && (n < minContainerTimeout || s.fargate && n > maxContainerTimeout) {
			return Invalidf("%s must be between %d and %d seconds.", m, minContainerTimeout, maxContainerTimeout)
		}
	}
	return nil
}
