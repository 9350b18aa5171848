package runner

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notifier tells a service manager how the runner is (sd_notify(3)). Without one
// (no NOTIFY_SOCKET) it does nothing.
type notifier struct {
	log  *slog.Logger
	send func(state string) (sent bool, err error)

	once sync.Once // for the warning
}

func newNotifier(log *slog.Logger) *notifier {
	return &notifier{log: log, send: func(state string) (bool, error) { return daemon.SdNotify(false, state) }}
}

func (n *notifier) tell(state string) {
	if _, err := n.send(state); err != nil {
		n.once.Do(func() { n.log.Warn("the service manager cannot be told how the runner is", "error", err) })
	}
}

func (n *notifier) ready(status string)  { n.tell(daemon.SdNotifyReady + "\nSTATUS=" + status) }
func (n *notifier) status(status string) { n.tell("STATUS=" + status) }
func (n *notifier) stopping()            { n.tell(daemon.SdNotifyStopping + "\nSTATUS=finishing what runs") }

func (n *notifier) reloading() {
	n.tell(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
}

// watch keeps the service manager's watchdog quiet, where there is one, for as
// long as alive returns nil: a runner that hangs is one whose alive does not return,
// or says why. It returns when ctx ends.
func (n *notifier) watch(ctx context.Context, alive func() error) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		n.log.Warn("the service manager's watchdog", "error", err)
	}
	if err != nil || interval <= 0 {
		return
	}
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	told := false
	for {
		if err := alive(); err == nil {
			told = false
			n.tell(daemon.SdNotifyWatchdog)
		} else if !told {
			told = true
			n.log.Error("the runner hangs, and does not tell the service manager any more that it lives", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// serving is the status line of a runner that takes tasks.
func serving(name string, running, capacity int) string {
	return fmt.Sprintf("%s: %d of %d jobs", name, running, capacity)
}
