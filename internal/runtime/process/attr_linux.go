package process

import "syscall"

// sysProcAttr gives a program a session of its own, and has the kernel end it when the supervisor dies.
var sysProcAttr = syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
