package container

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/moby/moby/api/types/container"
)

// lower brings what a workflow wished down to what the operator allows, and says
// where it did. A limit that the operator has not set is the workflow's to choose.
func lower(wish *container.Resources, most container.Resources) []string {
	l := &lowering{}
	if wish.CPUQuota > 0 {
		// Both ways to say it cannot be in one request.
		wish.NanoCPUs = wish.CPUQuota * 1e9 / max(wish.CPUPeriod, 1)
		if wish.CPUPeriod == 0 {
			wish.NanoCPUs = wish.CPUQuota * 1e9 / defaultPeriod
		}
		wish.CPUQuota, wish.CPUPeriod = 0, 0
	}
	l.number("cpus", &wish.NanoCPUs, most.NanoCPUs, func(n int64) string { return strconv.FormatFloat(float64(n)/1e9, 'f', -1, 64) })
	if wish.NanoCPUs > 0 {
		wish.CPUPeriod = 0
	}
	l.number("memory", &wish.Memory, most.Memory, size)
	l.number("cpu-shares", &wish.CPUShares, most.CPUShares, plain)
	l.swap(wish, most)
	wish.PidsLimit = l.processes(wish.PidsLimit, most.PidsLimit)
	if most.CpusetCpus != "" && wish.CpusetCpus != most.CpusetCpus {
		if wish.CpusetCpus != "" {
			l.say("cpuset-cpus", wish.CpusetCpus, most.CpusetCpus)
		}
		wish.CpusetCpus = most.CpusetCpus
	}
	l.ulimits(wish, most.Ulimits)
	wish.MemoryReservation = min(wish.MemoryReservation, cmpOr(wish.Memory, wish.MemoryReservation))
	return l.lines
}

// defaultPeriod is the kernel's, in microseconds, when only a quota is given.
const defaultPeriod = 100_000

// lowering collects what to tell the job's log.
type lowering struct{ lines []string }

func (l *lowering) say(name, from, to string) {
	l.lines = append(l.lines, fmt.Sprintf("--%s %s is more than this runner allows: it is %s", name, from, to))
}

func (l *lowering) number(name string, wish *int64, most int64, text func(int64) string) {
	if most <= 0 || *wish > 0 && *wish <= most {
		return
	}
	if *wish != 0 {
		l.say(name, text(*wish), text(most))
	}
	*wish = most
}

// swap bounds memory and swap together. Without a wish, Docker allows as much
// swap as memory.
func (l *lowering) swap(wish *container.Resources, most container.Resources) {
	if most.Memory <= 0 && most.MemorySwap <= 0 {
		return
	}
	top := most.MemorySwap
	if top == 0 {
		top = 2 * most.Memory
	}
	if top < 0 || wish.MemorySwap == 0 && most.MemorySwap == 0 {
		return
	}
	l.number("memory-swap", &wish.MemorySwap, top, size)
}

func (l *lowering) processes(wish, most *int64) *int64 {
	if most == nil || *most <= 0 {
		return wish
	}
	if wish == nil {
		return most
	}
	n := *wish
	l.number("pids-limit", &n, *most, plain)
	return &n
}

func (l *lowering) ulimits(wish *container.Resources, most []*container.Ulimit) {
	for _, m := range most {
		i := slices.IndexFunc(wish.Ulimits, func(u *container.Ulimit) bool { return u.Name == m.Name })
		if i < 0 {
			wish.Ulimits = append(wish.Ulimits, m)
			continue
		}
		u := *wish.Ulimits[i]
		if m.Hard >= 0 && (u.Hard < 0 || u.Hard > m.Hard) {
			l.say("ulimit", u.String(), m.String())
			u.Hard = m.Hard
		}
		if u.Hard >= 0 && (u.Soft < 0 || u.Soft > u.Hard) {
			u.Soft = u.Hard
		}
		wish.Ulimits[i] = &u
	}
}

func cmpOr(n, or int64) int64 {
	if n > 0 {
		return n
	}
	return or
}

func plain(n int64) string { return strconv.FormatInt(n, 10) }

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n < 0:
		return "unlimited"
	case n >= 1<<30 && n%(1<<28) == 0:
		return strconv.FormatFloat(float64(n)/(1<<30), 'f', -1, 64) + " GiB"
	case n >= 1<<20:
		return strconv.FormatInt(n>>20, 10) + " MiB"
	}
	return strconv.FormatInt(n, 10) + " bytes"
}
