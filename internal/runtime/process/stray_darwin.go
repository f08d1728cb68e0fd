package process

const strayNote = "What a job leaves behind in its process group is ended with it; a daemon that left the group runs on."
