package gitea_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"otelrunner/runner/gitea"
	"otelrunner/runner/gitea/giteatest"

	"connectrpc.com/connect"
)

// certificate is a self-signed one; its PEM text can serve as a CA file.
func certificate(t *testing.T, names []string, until time.Time) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: names,
		NotBefore: until.Add(-48 * time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if len(names) == 0 {
		tmpl.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

func serveTLS(t *testing.T, cert tls.Certificate) string {
	t.Helper()
	s := giteatest.New(giteatest.Options{})
	t.Cleanup(s.Close)
	front := httptest.NewUnstartedServer(s.Handler())
	front.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	front.EnableHTTP2 = true
	front.Config.ErrorLog = log.New(io.Discard, "", 0)
	front.StartTLS()
	t.Cleanup(front.Close)
	return front.URL
}

func ping(t *testing.T, url string, o gitea.HTTPOptions) error {
	t.Helper()
	h, err := gitea.NewHTTPClient(o)
	if err != nil {
		t.Fatal(err)
	}
	c, err := gitea.New(gitea.Options{Instance: url, HTTPClient: h})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	return c.Ping(t.Context())
}

func TestTLS(t *testing.T) {
	later := time.Now().Add(24 * time.Hour)
	good, goodCA := certificate(t, nil, later)
	other, otherCA := certificate(t, []string{"gitea.example.org"}, later)
	old, oldCA := certificate(t, nil, time.Now().Add(-time.Hour))
	for name, c := range map[string]struct {
		cert    tls.Certificate
		options gitea.HTTPOptions
		want    []string // parts of the line; none = no error
	}{
		"unknown authority": {good, gitea.HTTPOptions{}, []string{"signed by an authority that this machine does not know", "CA file"}},
		"CA file":           {good, gitea.HTTPOptions{CAFile: goodCA}, nil},
		"insecure":          {good, gitea.HTTPOptions{Insecure: true}, nil},
		"another name":      {other, gitea.HTTPOptions{CAFile: otherCA}, []string{"for another name (gitea.example.org)"}},
		"expired":           {old, gitea.HTTPOptions{CAFile: oldCA}, []string{"out of its time"}},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, ping(t, serveTLS(t, c.cert), c.options), c.want)
		})
	}
	t.Run("a CA file that is none", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "ca")
		if err := os.WriteFile(file, []byte("hello"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := gitea.NewHTTPClient(gitea.HTTPOptions{CAFile: file}); err == nil || !strings.Contains(err.Error(), "no certificate in PEM form") {
			t.Errorf("%v", err)
		}
	})
}

func check(t *testing.T, err error, want []string) {
	t.Helper()
	if len(want) == 0 {
		if err != nil {
			t.Errorf("%v", err)
		}
		return
	}
	if err == nil {
		t.Fatal("no error")
	}
	line := gitea.Explain(err)
	if strings.Contains(line, "\n") {
		t.Errorf("more than one line: %q", line)
	}
	for _, w := range want {
		if !strings.Contains(line, w) {
			t.Errorf("%q lacks %q", line, w)
		}
	}
}

func TestNetwork(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	cutting := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer cutting.Close()
	for name, c := range map[string]struct {
		url  string
		want []string
	}{
		"refused":      {"http://" + l.Addr().String(), []string{l.Addr().String() + " refused the connection", "is the server running"}},
		"unknown name": {"http://no-such-host.invalid", []string{"no-such-host.invalid", "DNS"}},
		"not TLS":      {strings.Replace(plain.URL, "http:", "https:", 1), []string{"does not speak TLS", "http://"}},
		"cut":          {cutting.URL, []string{"was cut"}},
		"not a Gitea":  {plain.URL, []string{"HTTP 404", "no Gitea with Actions", "404 page not found"}},
	} {
		t.Run(name, func(t *testing.T) { check(t, ping(t, c.url, gitea.HTTPOptions{}), c.want) })
	}
}

func TestExplainAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		fault giteatest.Fault
		want  []string
	}{
		"maintenance":    {giteatest.HTML(503, "Back soon"), []string{`HTTP 503 with a web page ("Back soon")`, "is it starting"}},
		"login page":     {giteatest.HTML(200, "Sign\n in"), []string{`a web page ("Sign in")`, "not look like a Gitea"}},
		"proxy's login":  {giteatest.Status(401), []string{"asks for a login", "/git/api/actions"}},
		"moved":          {giteatest.Redirect(301, "https://new.example/x"), []string{"redirects to https://new.example/x", "address"}},
		"body limit":     {giteatest.BodyLimit(1), []string{"HTTP 413", "client_max_body_size"}},
		"too often":      {giteatest.Status(429), []string{"less often"}},
		"unregistered":   {giteatest.Code(connect.CodeUnauthenticated, "unregistered runner"), []string{`"unregistered runner"`, "runner register"}},
		"too old":        {giteatest.Code(connect.CodeUnimplemented, "no such method"), []string{"too old"}},
		"database error": {giteatest.Code(connect.CodeInternal, "database is locked"), []string{`"database is locked" (internal)`}},
		"cut":            {giteatest.CutAfter(), []string{"was cut"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, form := range []giteatest.ErrorForm{giteatest.ErrorText, giteatest.ErrorCode} {
				s := giteatest.New(giteatest.Options{Path: "/git", Errors: form})
				defer s.Close()
				client, err := s.NewClient(giteatest.RunnerOptions{Name: "r"})
				if err != nil {
					t.Fatal(err)
				}
				s.Inject(c.fault)
				_, _, err = client.FetchTask(t.Context(), 1)
				check(t, err, c.want)
			}
		})
	}
}

func TestProxyThatRefuses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	through := http.ProxyURL(&url.URL{Scheme: "http", Host: l.Addr().String()})
	c, err := gitea.New(gitea.Options{
		Instance: "https://gitea.invalid", HTTPClient: &http.Client{Transport: &http.Transport{Proxy: through}},
	})
	if err != nil {
		t.Fatal(err)
	}
	check(t, c.Ping(t.Context()), []string{"the proxy of this environment cannot be used", "refused"})
}

// JSON of some other API must not pass for the word of Gitea.
func TestForeignJSON(t *testing.T) {
	for name, body := range map[string]string{
		"a message": `{"message":"unregistered runner"}`, "a number": `{"code":401}`, "no JSON": `oops`, "nothing": ``,
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = fmt.Fprint(w, body)
			}))
			defer s.Close()
			_, _, err := client(t, s.URL).FetchTask(t.Context(), 0)
			if err == nil || gitea.IsUnauthenticated(err) || !gitea.IsTemporary(err) {
				t.Errorf("%v", err)
			}
		})
	}
}
