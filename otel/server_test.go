package otel

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"golang.org/x/crypto/bcrypt"
)

func start(t *testing.T, opts ServerOptions) *Server {
	t.Helper()
	if opts.Addr == "" {
		opts.Addr = "127.0.0.1:0"
	}
	if opts.Gatherer == nil {
		opts.Gatherer = prometheus.NewRegistry()
	}
	if opts.Readiness == nil {
		opts.Readiness = NewReadiness(time.Minute)
	}
	s, err := StartServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func ask(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestServer(t *testing.T) {
	ready := NewReadiness(time.Minute)
	log := &recorder{}
	s := start(t, ServerOptions{Readiness: ready, Log: slog.New(log)})
	url := "http://" + s.Addr().String()

	if code, body := ask(t, url+"/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("/healthz: %d %q", code, body)
	}
	if code, body := ask(t, url+"/readyz"); code != 503 || !strings.Contains(body, "not reached yet") {
		t.Errorf("/readyz before the first contact: %d %q", code, body)
	}
	ready.ServerSeen(time.Now())
	if code, body := ask(t, url+"/readyz"); code != 200 || body != "ready\n" {
		t.Errorf("/readyz: %d %q", code, body)
	}
	ready.Draining()
	if code, body := ask(t, url+"/readyz"); code != 503 || !strings.Contains(body, "draining") {
		t.Errorf("/readyz while draining: %d %q", code, body)
	}
	if code, _ := ask(t, url+"/metrics"); code != 200 {
		t.Errorf("/metrics: %d", code)
	}
	if code, _ := ask(t, url+"/"); code != 404 {
		t.Errorf("/: %d", code)
	}
	if resp, err := http.Post(url+"/metrics", "text/plain", strings.NewReader("x")); err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST /metrics: %v, %v", resp, err)
	} else {
		resp.Body.Close()
	}
	if n := log.count(slog.LevelInfo); n != 0 {
		t.Errorf("%d log lines of the toolkit's", n)
	}
	h := s.http
	if h.ReadHeaderTimeout != 5*time.Second || h.ReadTimeout != 10*time.Second || h.WriteTimeout != 10*time.Second || h.IdleTimeout != time.Minute {
		t.Errorf("timeouts %v %v %v %v", h.ReadHeaderTimeout, h.ReadTimeout, h.WriteTimeout, h.IdleTimeout)
	}
}

func TestPortInUse(t *testing.T) {
	s := start(t, ServerOptions{})
	_, err := StartServer(ServerOptions{Addr: s.Addr().String(), Gatherer: prometheus.NewRegistry(), Readiness: NewReadiness(0)})
	if err == nil || !strings.Contains(err.Error(), "cannot listen on "+s.Addr().String()) {
		t.Errorf("got %v", err)
	}
}

func TestShutdownAtOnce(t *testing.T) {
	for range 20 {
		s, err := StartServer(ServerOptions{Addr: "127.0.0.1:0", Gatherer: prometheus.NewRegistry(), Readiness: NewReadiness(0)})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := net.Dial("tcp", s.Addr().String()); err == nil {
			t.Fatal("the port is still open")
		}
	}
}

// A slowWriter is a client that does not read: the first write blocks until it
// is released.
type slowWriter struct {
	http.ResponseWriter
	blocked, release chan struct{}
	once             sync.Once
}

func (w *slowWriter) Write(b []byte) (int, error) {
	w.once.Do(func() { close(w.blocked) })
	<-w.release
	return w.ResponseWriter.Write(b)
}

// TestSlowScraper has clients that ask and do not read. They keep neither
// measurements nor other scrapers from going on, and more than a bound of them
// are turned away.
func TestSlowScraper(t *testing.T) {
	clearEnv(t)
	p, in, _ := started(t, ProvidersOptions{})
	h := newHandler(ServerOptions{Gatherer: p.Gatherer(), Readiness: NewReadiness(0), Log: discard()})
	request := func() *http.Request { return httptest.NewRequest(http.MethodGet, "/metrics", nil) }

	var wg sync.WaitGroup
	release := make(chan struct{})
	defer wg.Wait()
	defer close(release)
	slow := func() {
		w := &slowWriter{ResponseWriter: httptest.NewRecorder(), blocked: make(chan struct{}), release: release}
		wg.Go(func() { h.ServeHTTP(w, request()) })
		<-w.blocked
	}
	for range maxScrapes - 1 {
		slow()
	}
	record(t.Context(), in)
	fast := httptest.NewRecorder()
	h.ServeHTTP(fast, request())
	if fast.Code != http.StatusOK || !strings.Contains(fast.Body.String(), "act_runner_report_log_buffer_rows 100") {
		t.Errorf("a scrape beside slow ones: %d\n%s", fast.Code, fast.Body)
	}

	slow()
	refused := httptest.NewRecorder()
	h.ServeHTTP(refused, request())
	if refused.Code != http.StatusServiceUnavailable {
		t.Errorf("scrape %d at a time: %d, want 503", maxScrapes+1, refused.Code)
	}
}

func TestShutdownCutsRequests(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	s, err := StartServer(ServerOptions{
		Addr: "127.0.0.1:0", Readiness: NewReadiness(0),
		Gatherer: prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
			close(asked)
			<-release
			return nil, nil
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(release)
	wg.Go(func() {
		if resp, err := http.Get("http://" + s.Addr().String() + "/metrics"); err == nil {
			resp.Body.Close()
			t.Error("the request was answered")
		}
	})
	<-asked
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a shutdown that cuts requests says so: %v", err)
	}
}

func TestWebConfigFile(t *testing.T) {
	dir := t.TempDir()
	pool := certificate(t, dir)
	hash, err := bcrypt.GenerateFromPassword([]byte("pass"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "web.yml")
	write(t, file, "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\nbasic_auth_users:\n  prom: "+string(hash)+"\n")
	s := start(t, ServerOptions{WebConfigFile: file})

	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()
	for _, c := range []struct {
		password string
		want     int
	}{{"pass", 200}, {"wrong", 401}} {
		req, err := http.NewRequest(http.MethodGet, "https://"+s.Addr().String()+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("prom", c.password)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("password %q: %d, want %d", c.password, resp.StatusCode, c.want)
		}
	}

	write(t, file, "tls_server_config:\n  cert_file: missing.pem\n  key_file: key.pem\n")
	_, err = StartServer(ServerOptions{Addr: "127.0.0.1:0", WebConfigFile: file})
	if err == nil || !strings.Contains(err.Error(), "web config file") {
		t.Errorf("a certificate that is missing gives %v", err)
	}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// certificate writes a certificate for 127.0.0.1 and its key to dir.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	write(t, filepath.Join(dir, "cert.pem"), string(certPEM))
	write(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return pool
}

func TestReadiness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewReadiness(time.Minute)
		reasons := func(want string) {
			t.Helper()
			if got := strings.Join(r.Reasons(time.Now()), "; "); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		reasons("server: not reached yet")
		r.ServerSeen(time.Now())
		time.Sleep(time.Minute)
		reasons("")
		time.Sleep(time.Second)
		reasons("server: not reached for 1m1s")
		r.ServerSeen(time.Now().Add(-time.Minute)) // another worker's, later said
		reasons("")
		r.ServerSeen(time.Now())
		r.Gate("sandbox", "no container engine")
		r.Gate("disk", "full")
		reasons("disk: full; sandbox: no container engine")
		r.Gate("disk", "")
		r.Draining()
		reasons("draining: no further job is taken; sandbox: no container engine")
	})
}
