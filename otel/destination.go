package otel

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// The OTLP protocols, as OTEL_EXPORTER_OTLP_PROTOCOL spells them.
const (
	ProtocolGRPC = "grpc"
	ProtocolHTTP = "http/protobuf"
)

// A signal is one of the three kinds of telemetry, as an index.
type signal uint8

const (
	signalMetrics signal = iota
	signalTraces
	signalLogs

	signals
)

func (s signal) String() string { return [...]string{"metrics", "traces", "logs"}[s] }

// path is where a signal goes below an OTLP/HTTP endpoint that is given for all
// of them.
func (s signal) path() string { return "/v1/" + s.String() }

// A destination says whether and how one signal is exported.
type destination struct {
	// on: an endpoint is set, and the signal is not switched off.
	on       bool
	protocol string

	// url is set when the endpoint comes from the configuration. When it is
	// empty the exporter itself reads the standard variables, the endpoint, its
	// headers, certificates and timeouts with it.
	url string

	// forward is the whole endpoint, wherever it comes from.
	forward string

	// shown is the endpoint for people: no user, no query.
	shown string
}

// env is how the standard variables are looked up. Set but empty counts as
// unset, as the specification of these variables wants.
type env func(string) string

// first is the value of the first of names that is set, and its name.
func (e env) first(names ...string) (name, value string) {
	for _, n := range names {
		if v := strings.TrimSpace(e(n)); v != "" {
			return n, v
		}
	}
	return "", ""
}

// positive is the variable as a number that is one at least, and else the default.
func (e env) positive(name string, def int) int {
	if n, err := strconv.Atoi(strings.TrimSpace(e(name))); err == nil && n > 0 {
		return n
	}
	return def
}

func processEnv() env { return os.Getenv }

// sdkDisabled is OTEL_SDK_DISABLED. What is no boolean is false, by its
// specification.
func (e env) sdkDisabled() bool {
	off, err := strconv.ParseBool(strings.TrimSpace(e("OTEL_SDK_DISABLED")))
	return err == nil && off
}

// destinationOf reads where s goes: by the variables of the signal, by those of
// all signals, else by the configuration, in this order.
func destinationOf(s signal, e env, endpoint, protocol string) (destination, error) {
	upper := strings.ToUpper(s.String())
	if exporters := e("OTEL_" + upper + "_EXPORTER"); !wantsOTLP(exporters) {
		return destination{}, nil
	}

	name, value := e.first("OTEL_EXPORTER_OTLP_"+upper+"_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
	fromConfig := value == "" && endpoint != ""
	if fromConfig {
		name, value = "the configured OTLP endpoint", endpoint
	}
	if value == "" {
		return destination{}, nil
	}

	d := destination{on: true, protocol: protocol}
	protocolName, p := e.first("OTEL_EXPORTER_OTLP_"+upper+"_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
	switch {
	case p != "":
		d.protocol = p
	case protocol == "":
		d.protocol = ProtocolHTTP
	default:
		protocolName = "the configured OTLP protocol"
	}
	if d.protocol != ProtocolGRPC && d.protocol != ProtocolHTTP {
		return destination{}, fmt.Errorf("%s is %q: want %q or %q", protocolName, d.protocol, ProtocolGRPC, ProtocolHTTP)
	}

	u, err := parseEndpoint(value, d.protocol, fromConfig)
	if err != nil {
		return destination{}, fmt.Errorf("%s is %w", name, err)
	}
	d.shown = (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, Opaque: u.Opaque}).String()
	whole := u
	if d.protocol == ProtocolHTTP && (fromConfig || name == "OTEL_EXPORTER_OTLP_ENDPOINT") {
		whole = u.JoinPath(s.path())
	}
	d.forward = whole.String()
	if fromConfig {
		d.url = d.forward
	}
	return d, nil
}

// wantsOTLP reports whether a list of exporters, as OTEL_METRICS_EXPORTER has
// it, leaves OTLP on. The default is otlp.
func wantsOTLP(list string) bool {
	if strings.TrimSpace(list) == "" {
		return true
	}
	return slices.ContainsFunc(strings.Split(list, ","), func(s string) bool {
		return strings.TrimSpace(s) == "otlp"
	})
}

// parseEndpoint refuses what the exporters would silently replace by
// localhost. A gRPC endpoint of the environment may be anything that gRPC can
// resolve, so only its syntax is looked at.
func parseEndpoint(value, protocol string, strict bool) (*url.URL, error) {
	example := "http://collector:4318"
	if protocol == ProtocolGRPC {
		example = "http://collector:4317"
	}
	u, err := url.Parse(value)
	if err != nil {
		// The error of url.Parse repeats the whole value, which may hold a
		// password.
		return nil, fmt.Errorf("no URL: want one like %s", example)
	}
	web := (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
	if !web && (strict || protocol == ProtocolHTTP) {
		return nil, fmt.Errorf("%q: want a URL with scheme and host, like %s", u.Redacted(), example)
	}
	return u, nil
}
