package otel

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// seenTraces notes the header of what arrives, and whether its sender showed a
// certificate.
type seenTraces struct {
	coltrace.UnimplementedTraceServiceServer
	saw func(header string, certificates int)
}

func (g seenTraces) Export(ctx context.Context, _ *coltrace.ExportTraceServiceRequest) (*coltrace.ExportTraceServiceResponse, error) {
	header := metadata.ValueFromIncomingContext(ctx, "x-tenant")
	from, _ := peer.FromContext(ctx)
	if info, ok := from.AuthInfo.(credentials.TLSInfo); ok {
		g.saw(strings.Join(header, ","), len(info.State.PeerCertificates))
	}
	return &coltrace.ExportTraceServiceResponse{}, nil
}

// TestForwardWithCertificates: what steps send goes to a collector that wants to know
// who asks, with the runner's headers, authorities and certificate.
func TestForwardWithCertificates(t *testing.T) {
	dir := t.TempDir()
	pool := certificate(t, dir)
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
	for _, protocol := range []string{ProtocolHTTP, ProtocolGRPC} {
		t.Run(protocol, func(t *testing.T) {
			clearEnv(t)
			var header string
			var certificates int
			saw := func(h string, n int) { header, certificates = h, n }
			var url string
			if protocol == ProtocolHTTP {
				s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
					saw(req.Header.Get("X-Tenant"), len(req.TLS.PeerCertificates))
				}))
				s.TLS = config
				s.StartTLS()
				defer s.Close()
				url = s.URL
			} else {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				s := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)))
				coltrace.RegisterTraceServiceServer(s, seenTraces{saw: saw})
				served := make(chan error, 1)
				go func() { served <- s.Serve(l) }()
				defer func() { s.Stop(); <-served }()
				url = "https://" + l.Addr().String()
			}
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
			t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
			t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=a%20b")
			t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", cert)
			send := func() error {
				t.Helper()
				to, err := destinationOf(signalTraces, processEnv(), "", "")
				if err != nil {
					t.Fatal(err)
				}
				f, err := newForwarder(signalTraces, to, processEnv())
				if err != nil {
					return err
				}
				defer f.close()
				return f.send(t.Context(), &coltrace.ExportTraceServiceRequest{})
			}
			if err := send(); err == nil {
				t.Error("without a certificate it arrives, too")
			}
			t.Setenv("OTEL_EXPORTER_OTLP_CLIENT_KEY", key)
			t.Setenv("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", cert)
			if err := send(); err == nil {
				t.Error("a key and a certificate that are no pair are taken")
			}
			t.Setenv("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", cert)
			if err := send(); err != nil {
				t.Fatal(err)
			}
			if header != "a b" || certificates != 1 {
				t.Errorf("arrived: the header %q and %d certificates, want one of each", header, certificates)
			}
			t.Setenv("OTEL_EXPORTER_OTLP_CLIENT_KEY", cert)
			if err := send(); err == nil || !strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE ("+cert+") and _CLIENT_KEY ("+cert+")") {
				t.Errorf("a key that is none gives %v", err)
			}
		})
	}
}
