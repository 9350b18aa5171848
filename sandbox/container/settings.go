package container

import (
	"fmt"
	"maps"
	"slices"

	"otelrunner/sandbox"
)

// wished are a workflow's wishes for one container, checked, under what the
// operator gives to all; lines tell the job's log what was lowered.
func (p *Provider) wished(c *sandbox.Container, as scope) (s *settings, lines []string, err error) {
	base, err := p.options.base()
	if err != nil {
		return nil, nil, err
	}
	wish := newSettings(p.policy)
	if c != nil {
		if err := wish.take(c, as); err != nil {
			return nil, nil, err
		}
	}
	lines, err = base.merge(wish)
	return base, lines, err
}

// take reads a workflow's description of a container.
func (s *settings) take(c *sandbox.Container, as scope) error {
	if err := s.parse(c.Options, as); err != nil {
		return err
	}
	for _, v := range c.Volumes {
		if err := s.addVolume(v); err != nil {
			return err
		}
	}
	for _, v := range c.Ports {
		if err := s.addPort(v); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		s.config.Env = append(s.config.Env, name+"="+c.Env[name])
	}
	return nil
}

// merge puts a workflow's wishes over the operator's settings. What the operator
// has decided stays: the workflow chooses only what is left open, and limits only
// downwards.
func (s *settings) merge(w *settings) (lines []string, err error) {
	limits := w.host.Resources
	lines = lower(&limits, s.host.Resources)
	fixed := s.host.Resources
	limits.Devices, limits.DeviceRequests, limits.DeviceCgroupRules = fixed.Devices, fixed.DeviceRequests, fixed.DeviceCgroupRules
	limits.MemoryReservation = first(limits.MemoryReservation, fixed.MemoryReservation)
	limits.CpusetMems = first(fixed.CpusetMems, limits.CpusetMems)
	limits.MemorySwappiness = first(limits.MemorySwappiness, fixed.MemorySwappiness)
	s.host.Resources = limits
	if s.host.ShmSize > 0 && w.host.ShmSize > s.host.ShmSize {
		lines = append(lines, fmt.Sprintf("--shm-size %s is more than this runner allows: it is %s", size(w.host.ShmSize), size(s.host.ShmSize)))
		w.host.ShmSize = s.host.ShmSize
	}
	s.host.ShmSize = first(w.host.ShmSize, s.host.ShmSize)
	if s.config.User != "" && w.config.User != "" && s.config.User != w.config.User {
		return nil, fmt.Errorf("option --user %s is refused: this runner's operator has all containers run as %s", w.config.User, s.config.User)
	}
	s.config.User = first(s.config.User, w.config.User)
	s.config.Hostname = first(w.config.Hostname, s.config.Hostname)
	s.config.Domainname = first(w.config.Domainname, s.config.Domainname)
	s.config.WorkingDir = first(w.config.WorkingDir, s.config.WorkingDir)
	s.config.StopSignal = first(w.config.StopSignal, s.config.StopSignal)
	s.config.StopTimeout = first(w.config.StopTimeout, s.config.StopTimeout)
	s.config.Healthcheck = first(w.config.Healthcheck, s.config.Healthcheck)
	s.config.Entrypoint = w.config.Entrypoint
	s.host.ReadonlyRootfs = s.host.ReadonlyRootfs || w.host.ReadonlyRootfs
	s.host.Init = first(w.host.Init, s.host.Init)
	s.platform = first(w.platform, s.platform)
	s.network = first(s.network, w.network)
	s.aliases = append(s.aliases, w.aliases...)
	s.config.Env = append(s.config.Env, w.config.Env...)
	for name, value := range w.config.Labels {
		if _, fixed := s.config.Labels[name]; !fixed {
			s.config.Labels[name] = value
		}
	}
	s.host.CapDrop = append(s.host.CapDrop, w.host.CapDrop...)
	s.host.ExtraHosts = append(s.host.ExtraHosts, w.host.ExtraHosts...)
	s.host.DNS = append(s.host.DNS, w.host.DNS...)
	s.host.DNSSearch = append(s.host.DNSSearch, w.host.DNSSearch...)
	s.host.DNSOptions = append(s.host.DNSOptions, w.host.DNSOptions...)
	maps.Copy(s.config.ExposedPorts, w.config.ExposedPorts)
	for port, bindings := range w.host.PortBindings {
		s.host.PortBindings[port] = append(s.host.PortBindings[port], bindings...)
	}
	return lines, s.mergeMounts(w)
}

func (s *settings) mergeMounts(w *settings) error {
	taken := map[string]bool{}
	for _, m := range s.host.Mounts {
		taken[m.Target] = true
	}
	for _, m := range w.host.Mounts {
		if taken[m.Target] {
			return fmt.Errorf("volume %s:%s: something else is mounted there already", m.Source, m.Target)
		}
		taken[m.Target] = true
		s.host.Mounts = append(s.host.Mounts, m)
	}
	for target, options := range w.host.Tmpfs {
		if taken[target] {
			return fmt.Errorf("option --tmpfs %s: something else is mounted there already", target)
		}
		s.host.Tmpfs[target] = options
	}
	return nil
}

// first is the first value that is not zero.
func first[T comparable](values ...T) T {
	var zero T
	for _, v := range values {
		if v != zero {
			return v
		}
	}
	return zero
}
