package otel

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// A forwarder sends on what others have made, to where the runner's own telemetry
// of that signal goes, with its headers, authorities and client certificate.
type forwarder struct {
	signal  signal
	to      destination
	headers map[string]string
	http    *http.Client
	conn    *grpc.ClientConn
}

func newForwarder(s signal, to destination, e env) (*forwarder, error) {
	upper := strings.ToUpper(s.String())
	f := &forwarder{signal: s, to: to}
	_, text := e.first("OTEL_EXPORTER_OTLP_"+upper+"_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
	f.headers = parseHeaders(text)
	config, err := tlsOf(upper, e)
	if err != nil {
		return nil, err
	}
	if to.protocol == ProtocolHTTP {
		f.http = &http.Client{
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, MaxIdleConnsPerHost: 2},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // it would carry the headers elsewhere
		}
		return f, nil
	}
	target, plain := to.forward, strings.EqualFold(e("OTEL_EXPORTER_OTLP_INSECURE"), "true")
	if u, err := url.Parse(target); err == nil && u.Host != "" {
		target, plain = u.Host, u.Scheme == "http"
	}
	creds := credentials.NewTLS(config)
	if plain {
		creds = insecure.NewCredentials()
	}
	if f.conn, err = grpc.NewClient(target, grpc.WithTransportCredentials(creds)); err != nil {
		return nil, fmt.Errorf("send telemetry of steps to %s: %w", to.shown, err)
	}
	return f, nil
}

// tlsOf reads the variables of a signal that say whom it trusts and who it is. A
// client certificate and its key count only as a pair, as in the exporters: both of the
// signal's, else both of those for all signals.
func tlsOf(upper string, e env) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	name, file := e.first("OTEL_EXPORTER_OTLP_"+upper+"_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE")
	if file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: %s holds no certificate in PEM form", name, file)
		}
	}
	for _, prefix := range []string{"OTEL_EXPORTER_OTLP_" + upper, "OTEL_EXPORTER_OTLP"} {
		_, file := e.first(prefix + "_CLIENT_CERTIFICATE")
		_, key := e.first(prefix + "_CLIENT_KEY")
		if file == "" || key == "" {
			continue
		}
		pair, err := tls.LoadX509KeyPair(file, key)
		if err != nil {
			return nil, fmt.Errorf("%s_CLIENT_CERTIFICATE (%s) and _CLIENT_KEY (%s): %w", prefix, file, key, err)
		}
		config.Certificates = []tls.Certificate{pair}
		break
	}
	return config, nil
}

// parseHeaders reads OTEL_EXPORTER_OTLP_HEADERS: name=value, separated by commas,
// percent-encoded.
func parseHeaders(text string) map[string]string {
	headers := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if name = strings.TrimSpace(name); ok && name != "" && err == nil {
			headers[name] = value
		}
	}
	return headers
}

// send sends a request of the signal's service.
func (f *forwarder) send(ctx context.Context, m proto.Message) error {
	if f.conn == nil {
		return f.post(ctx, m)
	}
	ctx = metadata.NewOutgoingContext(ctx, metadata.New(f.headers))
	var err error
	switch m := m.(type) {
	case *coltrace.ExportTraceServiceRequest:
		_, err = coltrace.NewTraceServiceClient(f.conn).Export(ctx, m)
	case *colmetrics.ExportMetricsServiceRequest:
		_, err = colmetrics.NewMetricsServiceClient(f.conn).Export(ctx, m)
	case *collogs.ExportLogsServiceRequest:
		_, err = collogs.NewLogsServiceClient(f.conn).Export(ctx, m)
	}
	if err != nil {
		return fmt.Errorf("send %s to %s: %w", f.signal, f.to.shown, err)
	}
	return nil
}

func (f *forwarder) post(ctx context.Context, m proto.Message) error {
	fail := func(err error) error { return fmt.Errorf("send %s to %s: %w", f.signal, f.to.shown, err) }
	data, err := proto.Marshal(m)
	if err != nil {
		return fail(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.to.forward, bytes.NewReader(data))
	if err != nil {
		return fail(err)
	}
	for name, value := range f.headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", protobufType)
	resp, err := f.http.Do(req)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // for the connection's next use
	if resp.StatusCode/100 != 2 {
		return fail(fmt.Errorf("HTTP %d", resp.StatusCode))
	}
	return nil
}

func (f *forwarder) close() {
	if f.conn != nil {
		_ = f.conn.Close() // nothing is under way
	} else {
		f.http.CloseIdleConnections()
	}
}
