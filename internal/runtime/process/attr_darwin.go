package process

import "syscall"

// sysProcAttr gives a program a session of its own. What survives the supervisor is ended by Reclaim.
var sysProcAttr = syscall.SysProcAttr{Setsid: true}
