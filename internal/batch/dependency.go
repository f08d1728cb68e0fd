package batch

// CheckNToN refuses an N_TO_N dependency between arrays of different sizes; 0 means no array.
//
// unverified: AWS's text, and that it refuses at submission (reference, section 15, question 4).
func CheckNToN(size, dependencySize int, id string) error {
	if dependencySize == 0 {
		return Refusedf("N_TO_N dependency %s is not an array job", id)
	}
	if size != dependencySize {
		return Refusedf("N_TO_N dependency %s has array size %d, but this job has array size %d", id, dependencySize, size)
	}
	return nil
}

// ErrDependencyUnknown refuses a dependsOn entry whose job does not exist.
//
// unverified: AWS's text (reference, section 15, question 3).
func ErrDependencyUnknown(id string) error {
	return Refusedf("Dependent job %s does not exist", id)
}
