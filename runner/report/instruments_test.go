package report_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/otel"
	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/report"
	"otelrunner/runner/task"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// numbers are the values of all counters and gauges by name and result or method.
func numbers(t *testing.T, reader metric.Reader) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		t.Fatal(err)
	}
	out := map[string]int64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			var points []metricdata.DataPoint[int64]
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				points = data.DataPoints
			case metricdata.Gauge[int64]:
				points = data.DataPoints
			}
			for _, p := range points {
				name := m.Name
				for _, kv := range p.Attributes.ToSlice() {
					name += " " + kv.Value.AsString()
				}
				out[name] = p.Value
			}
		}
	}
	return out
}

func TestInstruments(t *testing.T) {
	reader := metric.NewManualReader()
	in, err := otel.NewInstruments(metric.NewMeterProvider(metric.WithReader(reader)), otel.InstrumentOptions{})
	if err != nil {
		t.Fatal(err)
	}
	inBubble(t, report.Options{Instruments: in, StateInterval: time.Hour}, func(w *world) {
		w.s.Inject(giteatest.Status(503).On("UpdateLog").Times(2))
		w.s.Inject(giteatest.Status(503).On("UpdateTask").Times(1))
		w.row("a")
		w.row("b")
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if n := numbers(w.t, reader)["act_runner_report_log_buffer_rows"]; n != 2 {
			w.t.Errorf("%d rows in the buffer, want 2", n)
		}
		if n := numbers(w.t, reader)["act_runner_report_log_buffer"]; n < 2 || n > 1000 {
			w.t.Errorf("2 short rows take %d bytes", n)
		}
		w.finish(task.Success)
		got := numbers(w.t, reader)
		for _, name := range []string{
			"act_runner_report_log_buffer_rows", "act_runner_report_log_buffer", "act_runner_journal",
			"act_runner_report_log success", "act_runner_report_log error",
			"act_runner_report_state success", "act_runner_report_state error",
			"act_runner_client_errors UpdateLog", "act_runner_client_errors UpdateTask",
		} {
			want := map[string]int64{
				"act_runner_report_log success": 2, "act_runner_report_log error": 2,
				"act_runner_report_state success": 1, "act_runner_report_state error": 1,
				"act_runner_client_errors UpdateLog": 2, "act_runner_client_errors UpdateTask": 1,
			}[name]
			if got[name] != want {
				w.t.Errorf("%s = %d, want %d", name, got[name], want)
			}
		}
	})
}

// Rows that are given up wait no more.
func TestTheBufferGaugeAfterAReportThatIsGivenUp(t *testing.T) {
	reader := metric.NewManualReader()
	in, err := otel.NewInstruments(metric.NewMeterProvider(metric.WithReader(reader)), otel.InstrumentOptions{})
	if err != nil {
		t.Fatal(err)
	}
	inBubble(t, report.Options{Instruments: in}, func(w *world) {
		w.s.SetDown(true)
		w.row("a")
		w.row("b")
		time.Sleep(time.Minute)
		synctest.Wait()
		const gauge = "act_runner_report_log_buffer_rows"
		if n := numbers(w.t, reader)[gauge]; n != 2 {
			w.t.Errorf("%d rows in the buffer, want 2", n)
		}
		w.r.Close()
		if n := numbers(w.t, reader)[gauge]; n != 0 {
			w.t.Errorf("%d rows in the buffer after the report's end, want 0", n)
		}
	})
}

func TestTaskSecrets(t *testing.T) {
	got := report.TaskSecrets(&task.Task{
		Secrets: map[string]string{"A": "one"},
		Context: map[string]any{"token": "two", "gitea_runtime_token": "three", "ref": "x"},
	})
	if diff := cmp.Diff([]string{"one", "two", "three"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
