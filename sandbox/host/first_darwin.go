package host

import "syscall"

// first is what only the first process of a container has; there are none here.
type first struct{}

func (first) attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
func (first) starting() func(int)              { return func(int) {} }
func (first) hold() func()                     { return func() {} }
func (first) waited(int)                       {}
