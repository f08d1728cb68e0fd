package process

const strayNote = "What a job leaves behind in the background is ended with it; a daemon in a session of its own up to a second later, if it kept the job's environment, else when no job runs."
