package otel

import (
	"compress/gzip"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"otelrunner/sandbox/pipes"

	"go.opentelemetry.io/otel/attribute"
	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const protobufType = "application/x-protobuf"

// The bounds of a door. A program that keeps within them loses nothing.
const (
	doorBody     = 4 << 20         // bytes of one request, unpacked
	doorMessages = 100_000         // spans, points, attributes … of one request
	doorSources  = 1000            // resources of one request
	doorRate     = 1 << 20         // bytes a second, in the long run
	doorBurst    = 16 << 20        // bytes at once
	doorCalls    = 4               // requests at a time
	doorPatience = 3 * time.Second // with the collector
)

// DoorOptions say what a door does with what comes in.
type DoorOptions struct {
	// Attributes are stamped on every resource, over what a program says.
	Attributes []attribute.KeyValue
	// Mask hides the job's secrets in every text; nil hides nothing.
	Mask func(string) string
	// Log gets what goes wrong, at most once; nil discards it.
	Log *slog.Logger
}

// A Door is where the programs of one job send their telemetry (OTLP over HTTP, in
// protobuf): a loopback port, and a path that only the job is told. What comes in
// is stamped, masked, bounded in size and rate, and sent on to where the runner's
// own goes, with credentials that the job never sees.
type Door struct {
	opts    DoorOptions
	secret  string
	http    *http.Server
	address string
	serving sync.WaitGroup
	inside  *pipes.Listener
	out     [signals]*forwarder
	calls   chan struct{}
	warned  sync.Once

	mu     sync.Mutex
	tokens float64 // bytes that may come now
	filled time.Time
}

// OpenDoor opens a door. Without a destination for any signal, that is an error.
func (p *Providers) OpenDoor(o DoorOptions) (_ *Door, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Mask == nil {
		o.Mask = func(s string) string { return s }
	}
	d := &Door{opts: o, secret: rand.Text(), inside: pipes.New(), calls: make(chan struct{}, doorCalls), tokens: doorBurst, filled: time.Now()}
	defer func() {
		if err != nil {
			d.closeOut()
		}
	}()
	some := false
	for s, to := range p.to {
		if !to.on {
			continue
		}
		some = true
		if d.out[s], err = newForwarder(signal(s), to, processEnv()); err != nil {
			return nil, err
		}
	}
	if !some {
		return nil, errors.New("otel.step_endpoint: there is no OTLP endpoint to send the telemetry of steps to; set otel.endpoint")
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("otel.step_endpoint: %w", err)
	}
	d.address = l.Addr().String()
	d.http = &http.Server{
		Handler: d, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	for _, l := range []net.Listener{l, d.inside} {
		d.serving.Go(func() {
			if err := d.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				o.Log.Warn("the OTLP endpoint of a job's steps has ended", "error", err)
			}
		})
	}
	return d, nil
}

// URL is the value of OTEL_EXPORTER_OTLP_ENDPOINT.
func (d *Door) URL() string { return "http://" + d.address + "/" + d.secret }

// Dial opens a connection to the door inside this process, for a program that does
// not reach this machine's loopback: it costs no port and no file descriptor.
func (d *Door) Dial(ctx context.Context) (net.Conn, error) { return d.inside.Dial(ctx) }

// Close ends the door; what is under way may take as long as the collector is
// waited for.
func (d *Door) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), doorPatience)
	defer cancel()
	if d.http.Shutdown(ctx) != nil {
		_ = d.http.Close()
	}
	d.serving.Wait()
	d.closeOut()
}

func (d *Door) closeOut() {
	for _, f := range d.out {
		if f != nil {
			f.close()
		}
	}
}

// ServeHTTP takes one request.
func (d *Door) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	path, ok := strings.CutPrefix(req.URL.Path, "/"+d.secret+"/v1/")
	in, out := d.signal(path)
	switch {
	case !ok || out == nil:
		http.Error(w, "there is nothing here", http.StatusNotFound)
		return
	case req.Method != http.MethodPost:
		http.Error(w, "want POST", http.StatusMethodNotAllowed)
		return
	case !strings.HasPrefix(req.Header.Get("Content-Type"), protobufType):
		http.Error(w, "want OTLP in protobuf: OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", http.StatusUnsupportedMediaType)
		return
	}
	select {
	case d.calls <- struct{}{}:
		defer func() { <-d.calls }()
	default:
		tooMuch(w)
		return
	}
	status, err := d.pass(req, in, out)
	if status == http.StatusTooManyRequests {
		tooMuch(w)
		return
	}
	if err != nil {
		http.Error(w, http.StatusText(status), status)
		return
	}
	w.Header().Set("Content-Type", protobufType) // an empty message: all was taken
}

func tooMuch(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, "this job sends more telemetry than its runner takes", http.StatusTooManyRequests)
}

func (d *Door) signal(path string) (proto.Message, *forwarder) {
	switch path {
	case "traces":
		return &coltrace.ExportTraceServiceRequest{}, d.out[signalTraces]
	case "metrics":
		return &colmetrics.ExportMetricsServiceRequest{}, d.out[signalMetrics]
	case "logs":
		return &collogs.ExportLogsServiceRequest{}, d.out[signalLogs]
	}
	return nil, nil
}

// pass reads, stamps, masks and sends on.
func (d *Door) pass(req *http.Request, m proto.Message, out *forwarder) (status int, err error) {
	body := io.Reader(http.MaxBytesReader(nil, req.Body, doorBody))
	if req.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			return http.StatusBadRequest, err //nolint:wrapcheck // only its being matters
		}
		body = z
	}
	data, err := io.ReadAll(io.LimitReader(body, doorBody+1))
	var packed *http.MaxBytesError
	switch {
	case len(data) > doorBody, errors.As(err, &packed):
		return http.StatusRequestEntityTooLarge, errors.New("too large")
	case err != nil:
		return http.StatusBadRequest, err //nolint:wrapcheck // as above
	case !d.allow(len(data), time.Now()):
		return http.StatusTooManyRequests, errors.New("too much")
	}
	if tooMany(data, m.ProtoReflect().Descriptor()) {
		return http.StatusRequestEntityTooLarge, errors.New("too many")
	}
	// What is not known here could not be masked.
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, m); err != nil {
		return http.StatusBadRequest, err //nolint:wrapcheck // as above
	}
	d.stamp(m)
	d.mask(m.ProtoReflect())
	ctx, cancel := context.WithTimeout(req.Context(), doorPatience)
	defer cancel()
	if err := out.send(ctx, m); err != nil {
		d.warned.Do(func() {
			d.opts.Log.Warn("telemetry of a job's steps could not be sent on; this is said once a job", "error", err)
		})
		return http.StatusServiceUnavailable, err
	}
	return http.StatusOK, nil
}

// tooMany reports whether a request holds more resources or messages than a door
// takes: of each empty one, two bytes become hundreds.
func tooMany(data []byte, of protoreflect.MessageDescriptor) bool {
	sources := doorSources
	for rest := data; len(rest) > 0; sources-- {
		_, _, n := protowire.ConsumeField(rest)
		if n < 0 {
			break // its reader says what is wrong
		}
		rest = rest[n:]
	}
	left := doorMessages
	return sources < 0 || !count(data, of, &left)
}

// count takes the messages and list items within one off left, and reports whether those were enough.
func count(data []byte, of protoreflect.MessageDescriptor, left *int) bool {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		size := protowire.ConsumeFieldValue(number, kind, data[max(n, 0):])
		if n < 0 || size < 0 {
			return true // its reader says what is wrong
		}
		field := of.Fields().ByNumber(number)
		if field != nil && kind == protowire.BytesType && (field.Message() != nil || field.IsList()) {
			if *left--; *left < 0 {
				return false
			}
			if inner, _ := protowire.ConsumeBytes(data[n:]); field.Message() != nil && !count(inner, field.Message(), left) {
				return false
			}
		}
		data = data[n+size:]
	}
	return true
}

// allow takes n bytes out of the bucket, if it has them.
func (d *Door) allow(n int, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tokens = min(doorBurst, d.tokens+now.Sub(d.filled).Seconds()*doorRate)
	d.filled = now
	if d.tokens < float64(n) {
		return false
	}
	d.tokens -= float64(n)
	return true
}

// stamp puts the run's attributes on every resource, in the place of what a
// program says they are.
func (d *Door) stamp(m proto.Message) {
	on := func(r **resourcepb.Resource) {
		if *r == nil {
			*r = &resourcepb.Resource{}
		}
		kept := (*r).Attributes[:0]
		for _, kv := range (*r).Attributes {
			if !d.owns(kv.GetKey()) {
				kept = append(kept, kv)
			}
		}
		for _, kv := range d.opts.Attributes {
			kept = append(kept, &commonpb.KeyValue{Key: string(kv.Key), Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: kv.Value.String()}}})
		}
		(*r).Attributes = kept
	}
	switch m := m.(type) {
	case *coltrace.ExportTraceServiceRequest:
		for _, r := range m.GetResourceSpans() {
			on(&r.Resource)
		}
	case *colmetrics.ExportMetricsServiceRequest:
		for _, r := range m.GetResourceMetrics() {
			on(&r.Resource)
		}
	case *collogs.ExportLogsServiceRequest:
		for _, r := range m.GetResourceLogs() {
			on(&r.Resource)
		}
	}
}

func (d *Door) owns(key string) bool {
	for _, kv := range d.opts.Attributes {
		if string(kv.Key) == key {
			return true
		}
	}
	return false
}

// mask masks every text of a message, wherever it is.
func (d *Door) mask(m protoreflect.Message) {
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case field.IsList() && field.Kind() == protoreflect.StringKind:
			for i := range v.List().Len() {
				v.List().Set(i, protoreflect.ValueOfString(d.opts.Mask(v.List().Get(i).String())))
			}
		case field.IsList() && field.Kind() == protoreflect.MessageKind:
			for i := range v.List().Len() {
				d.mask(v.List().Get(i).Message())
			}
		case field.Kind() == protoreflect.StringKind:
			m.Set(field, protoreflect.ValueOfString(d.opts.Mask(v.String())))
		case field.Kind() == protoreflect.MessageKind:
			d.mask(v.Message())
		case field.Kind() == protoreflect.BytesKind && field.Name() == "bytes_value":
			m.Set(field, protoreflect.ValueOfBytes([]byte(d.opts.Mask(string(v.Bytes())))))
		}
		return true
	})
}
