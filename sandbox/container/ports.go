package container

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/network"
)

// maxPorts bounds what one range may publish.
const maxPorts = 1024

// publish parses a port in the form of `docker run --publish`,
// [[IP:][HOST[-HOST]]:]CONTAINER[-CONTAINER][/PROTOCOL], into the two maps that
// an engine wants. A container's port without a host's gets a free one.
func publish(text string, exposed network.PortSet, bound network.PortMap) error {
	inside, err := network.ParsePortRange(text[strings.LastIndex(text, ":")+1:])
	if err != nil {
		return fmt.Errorf("port %q: want HOST:CONTAINER or CONTAINER: %w", text, err)
	}
	binding := network.PortBinding{}
	host := ""
	if i := strings.LastIndex(text, ":"); i >= 0 {
		rest := text[:i]
		host = rest
		if j := strings.LastIndex(rest, ":"); j >= 0 {
			host = rest[j+1:]
			if binding.HostIP, err = netip.ParseAddr(strings.Trim(rest[:j], "[]")); err != nil {
				return fmt.Errorf("port %q: want IP:HOST:CONTAINER: %w", text, err)
			}
		}
	}
	if p := inside.Proto(); p != network.TCP && p != network.UDP && p != network.SCTP {
		return fmt.Errorf("port %q: the protocol is %q, want tcp, udp or sctp", text, p)
	}
	count := int(inside.End()) - int(inside.Start()) + 1
	if count > maxPorts {
		return fmt.Errorf("port %q: %d ports, at most %d can be published at once", text, count, maxPorts)
	}
	first := -1
	if host != "" {
		outside, err := network.ParsePortRange(host)
		if err != nil {
			return fmt.Errorf("port %q: %q is no port of the host: %w", text, host, err)
		}
		if int(outside.End())-int(outside.Start())+1 != count {
			return fmt.Errorf("port %q: the two ranges are not of the same length", text)
		}
		first = int(outside.Start())
	}
	for port := range inside.All() {
		if first >= 0 {
			binding.HostPort = strconv.Itoa(first)
			first++
		}
		exposed[port] = struct{}{}
		bound[port] = append(bound[port], binding)
	}
	return nil
}

// setExpose notes ports without publishing them.
func setExpose(s *settings, v string) error {
	ports, err := network.ParsePortRange(v)
	if err != nil || int(ports.End())-int(ports.Start()) >= maxPorts {
		return fmt.Errorf("%q is no port or range of at most %d ports", v, maxPorts)
	}
	for port := range ports.All() {
		s.config.ExposedPorts[port] = struct{}{}
	}
	return nil
}
