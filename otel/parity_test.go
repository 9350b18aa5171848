package otel

import (
	"context"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestParity compares what a scraper sees with what an OTLP backend gets.
func TestParity(t *testing.T) {
	for _, c := range []struct {
		protocol string
		receiver func(*testing.T) *receiver
	}{{ProtocolHTTP, newHTTPReceiver}, {ProtocolGRPC, newGRPCReceiver}} {
		t.Run(c.protocol, func(t *testing.T) {
			clearEnv(t)
			r := c.receiver(t)
			t.Setenv("OTEL_TRACES_EXPORTER", "none")
			t.Setenv("OTEL_LOGS_EXPORTER", "none")
			p, in, url := started(t, ProvidersOptions{Endpoint: r.URL, Protocol: c.protocol})
			ctx, _ := sampled(t.Context())
			record(ctx, in)

			scraped := scrape(t, url)
			if err := p.Shutdown(context.Background()); err != nil { // exports once more
				t.Fatal(err)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			exported := translate(t, r.metrics)

			const uptime = "act_runner_uptime_seconds"
			a, b := scraped[uptime].Series["{}"].Value, exported[uptime].Series["{}"].Value
			if a <= 0 || b < a || math.Abs(b-a) > 60 {
				t.Errorf("uptime: %v s scraped, %v s exported thereafter", a, b)
			}
			delete(scraped[uptime].Series, "{}")
			delete(exported[uptime].Series, "{}")

			if len(scraped) != len(golden)+len(own)+1 { // and the export failures
				t.Errorf("%d families scraped, want %d", len(scraped), len(golden)+len(own)+1)
			}
			if d := cmp.Diff(scraped, exported); d != "" {
				t.Errorf("/metrics and OTLP differ (-scraped +exported):\n%s", d)
			}
		})
	}
}
