package otel

import (
	"strings"
	"testing"
)

func TestDestination(t *testing.T) {
	for _, c := range []struct {
		name               string
		env                map[string]string
		endpoint, protocol string
		want               destination
		wantErr            string
	}{
		{name: "nothing set"},
		{
			name: "configuration", endpoint: "http://c:4318",
			want: destination{on: true, protocol: ProtocolHTTP, url: "http://c:4318/v1/metrics", forward: "http://c:4318/v1/metrics", shown: "http://c:4318"},
		},
		{
			name: "configuration with a path", endpoint: "https://c/otlp/",
			want: destination{on: true, protocol: ProtocolHTTP, url: "https://c/otlp/v1/metrics", forward: "https://c/otlp/v1/metrics", shown: "https://c/otlp/"},
		},
		{
			name: "configuration, gRPC", endpoint: "https://c:4317", protocol: ProtocolGRPC,
			want: destination{on: true, protocol: ProtocolGRPC, url: "https://c:4317", forward: "https://c:4317", shown: "https://c:4317"},
		},
		{
			name: "variable wins", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:pw@v:4318?x=1"}, endpoint: "http://c:4318",
			want: destination{on: true, protocol: ProtocolHTTP, forward: "http://user:pw@v:4318/v1/metrics?x=1", shown: "http://v:4318"},
		},
		{
			name: "the signal's variables win",
			env: map[string]string{
				"OTEL_EXPORTER_OTLP_ENDPOINT": "http://v:4318", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://m:4317",
				"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc",
			},
			want: destination{on: true, protocol: ProtocolGRPC, forward: "http://m:4317", shown: "http://m:4317"},
		},
		{
			name: "protocol of the environment, endpoint of the configuration",
			env:  map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, endpoint: "http://c:4317", protocol: ProtocolHTTP,
			want: destination{on: true, protocol: ProtocolGRPC, url: "http://c:4317", forward: "http://c:4317", shown: "http://c:4317"},
		},
		{
			name: "gRPC target without a scheme",
			env:  map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
			want: destination{on: true, protocol: ProtocolGRPC, forward: "collector:4317", shown: "collector:4317"},
		},
		{name: "switched off", env: map[string]string{"OTEL_METRICS_EXPORTER": "none"}, endpoint: "http://c:4318"},
		{name: "another exporter", env: map[string]string{"OTEL_METRICS_EXPORTER": "prometheus"}, endpoint: "http://c:4318"},
		{
			name: "several exporters", env: map[string]string{"OTEL_METRICS_EXPORTER": "prometheus, otlp"}, endpoint: "http://c:4318",
			want: destination{on: true, protocol: ProtocolHTTP, url: "http://c:4318/v1/metrics", forward: "http://c:4318/v1/metrics", shown: "http://c:4318"},
		},
		{name: "blank variable", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": " "}},

		{name: "protocol", env: map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, endpoint: "http://c", wantErr: `OTEL_EXPORTER_OTLP_PROTOCOL is "http/json"`},
		{name: "configured protocol", endpoint: "http://c", protocol: "udp", wantErr: `the configured OTLP protocol is "udp"`},
		{name: "no scheme", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, wantErr: `OTEL_EXPORTER_OTLP_ENDPOINT is "collector:4318": want a URL`},
		{name: "no scheme in the configuration", endpoint: "collector:4317", protocol: ProtocolGRPC, wantErr: "the configured OTLP endpoint is"},
		{name: "no URL", endpoint: "http://user:secret@c:port", wantErr: "no URL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := env(func(name string) string { return c.env[name] })
			got, err := destinationOf(signalMetrics, e, c.endpoint, c.protocol)
			if c.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), c.wantErr) {
					t.Fatalf("got %v, want an error with %q", err, c.wantErr)
				}
				if strings.Contains(err.Error(), "secret") {
					t.Errorf("the error shows a password: %v", err)
				}
				return
			}
			if err != nil || got != c.want {
				t.Errorf("got %+v, %v\nwant %+v", got, err, c.want)
			}
		})
	}
}

func TestSDKDisabled(t *testing.T) {
	for value, want := range map[string]bool{"": false, "true": true, "TRUE": true, "false": false, "yes": false} {
		if got := env(func(string) string { return value }).sdkDisabled(); got != want {
			t.Errorf("OTEL_SDK_DISABLED=%q: %v, want %v", value, got, want)
		}
	}
}
