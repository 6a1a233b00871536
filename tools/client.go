package tools

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
	"golang.org/x/net/http/httpguts"
)

// Bounds of one exchange with an endpoint.
const (
	maxReply    = 1 << 20         // bytes of a body that are read; what is longer is refused (SEC-7)
	maxHeaders  = 64 << 10        // bytes of a reply's headers
	dialTimeout = 3 * time.Second // name lookup and connect
	userAgent   = "Patchcord"

	// maxIdle is how many connections to one endpoint are kept for the next
	// call, and to all endpoints: a call that finds none pays for the way there
	// and for TLS before its request leaves. Some 20 kB each, for 90 s.
	maxIdle    = 256
	maxIdleAll = 1024
)

// HTTPConfig says what outgoing requests may reach besides public https.
type HTTPConfig struct {
	AllowInsecureHosts []string `yaml:"allow_insecure_hosts"` // host or host:port that may be asked over http
	AllowCIDRs         []string `yaml:"allow_cidrs"`          // private addresses that may be reached, over http too
	// CAFile holds certificates (PEM) of authorities that are trusted besides
	// the system's, for endpoints of one's own; "" for none.
	CAFile string `yaml:"ca_file"`

	// Resolver looks names up, nil for the system's.
	Resolver *net.Resolver `yaml:"-"`
}

// Client makes the requests of tools. The address is checked after the name
// was resolved, in the moment of dialling, so a name that changes its address
// between check and use gains nothing. No proxy, no redirect is followed.
// It is safe for concurrent use and keeps connections between calls.
type Client struct {
	insecure []string
	open     *http.Client // https, and http to the hosts that may be asked so
	fenced   *http.Client // http to anywhere else: only addresses of AllowCIDRs
	allowed  []netip.Prefix
}

// What became of a request that got no answer.
var (
	// ErrBlocked is a URL or an address that may not be asked.
	ErrBlocked = errors.New("blocked by the guard for outgoing requests")
	// ErrTooLarge is a reply of more than 1 MB.
	ErrTooLarge = errors.New("reply larger than 1 MB")
	// ErrHeader is a header that would not stay one line.
	ErrHeader = errors.New("header with a character that is not allowed")
	// errUnreachable stands for every failure of the network: what the
	// network says names addresses. The others are what can be told of it.
	errUnreachable = errors.New("no connection to the endpoint")
	errNoName      = fmt.Errorf("%w: its name is not known", errUnreachable)
	errNoListener  = fmt.Errorf("%w: nothing listens there", errUnreachable)
	errNotTrusted  = fmt.Errorf("%w: its certificate is not trusted", errUnreachable)
	errNoTLS       = fmt.Errorf("%w: it does not speak TLS", errUnreachable)
)

// NewClient checks the configuration and makes a client.
func NewClient(cfg HTTPConfig) (*Client, error) {
	c := &Client{}
	var v4, v6 []netip.Prefix
	for _, s := range cfg.AllowCIDRs {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, err := netip.ParseAddr(s)
			if err != nil {
				return nil, fmt.Errorf("tools: allow_cidrs: %q is no network such as 10.1.0.0/16 and no address", s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		c.allowed = append(c.allowed, p.Masked())
		if p.Addr().Is4() {
			v4 = append(v4, p.Masked())
		} else {
			v6 = append(v6, p.Masked())
		}
	}
	for _, h := range cfg.AllowInsecureHosts {
		if h == "" || strings.ContainsAny(h, "/ @") {
			return nil, fmt.Errorf("tools: allow_insecure_hosts: %q is no host: write a name, or name:port", h)
		}
		c.insecure = append(c.insecure, strings.ToLower(h))
	}
	roots, err := authorities(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	guard := ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))
	c.open = httpClient(cfg.Resolver, roots, guard.Safe)
	c.fenced = httpClient(cfg.Resolver, roots, func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil || !c.isAllowed(ap.Addr()) {
			return ErrBlocked
		}
		return nil
	})
	return c, nil
}

// authorities are the system's and those of a file, nil for the system's alone.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file) //nolint:gosec // the operator names it
	if err != nil {
		return nil, fmt.Errorf("tools: ca_file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("tools: ca_file: no certificate in %s: it is a PEM file, -----BEGIN CERTIFICATE-----", file)
	}
	return pool, nil
}

func httpClient(
	r *net.Resolver, roots *x509.CertPool, control func(string, string, syscall.RawConn) error,
) *http.Client {
	d := &net.Dialer{Timeout: dialTimeout, Control: control, Resolver: r}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil, // a proxy would dial for us, past the guard
			DialContext:            d.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    dialTimeout,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           maxIdleAll,
			MaxIdleConnsPerHost:    maxIdle,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: maxHeaders,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Close closes the connections that are idle.
func (c *Client) Close() {
	c.open.CloseIdleConnections()
	c.fenced.CloseIdleConnections()
}

func (c *Client) isAllowed(a netip.Addr) bool {
	return slices.ContainsFunc(c.allowed, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) || p.Contains(a) })
}

// pick says which client may ask a URL, and that its scheme and form are right.
func (c *Client) pick(u *url.URL) (*http.Client, error) {
	switch {
	case u.Host == "" || u.Hostname() == "":
		return nil, fmt.Errorf("%w: no host", ErrBlocked)
	case u.User != nil:
		return nil, fmt.Errorf("%w: a user in the URL", ErrBlocked)
	case u.Scheme == "https":
		return c.open, nil
	case u.Scheme != "http":
		return nil, fmt.Errorf("%w: neither https nor http", ErrBlocked)
	}
	if slices.Contains(c.insecure, strings.ToLower(u.Hostname())) || slices.Contains(c.insecure, strings.ToLower(u.Host)) {
		return c.open, nil
	}
	return c.fenced, nil
}

// CheckURL says what can be said of a URL before it is asked: it is for
// definitions, the guard itself works at the time of dialling (T-09).
func (c *Client) CheckURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("not a URL")
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
		return errors.New("not a URL of the form https://host/path")
	}
	if u.User != nil {
		return errors.New("a user or a password in the URL: put credentials into a header")
	}
	to, err := c.pick(u)
	if err != nil {
		return err
	}
	addr, err := netip.ParseAddr(strings.Trim(u.Hostname(), "[]"))
	switch {
	case err == nil && !c.isAllowed(addr) && ssrf.New(ssrf.WithAnyPort()).SafeAddr(addr) != nil,
		strings.EqualFold(u.Hostname(), "localhost") && len(c.allowed) == 0:
		return errors.New("an internal address: name it in tools.allow_cidrs if tools may reach it")
	case to == c.fenced && (err != nil && len(c.allowed) == 0 || err == nil && !c.isAllowed(addr)):
		return errors.New("http without TLS: write https, or name the host in tools.allow_insecure_hosts")
	}
	return nil
}

// KV is one header or query parameter.
type KV struct {
	Key   string `yaml:"key" json:"key"`
	Value string `yaml:"value" json:"value"`
}

// Request is one request of a tool, all placeholders resolved.
type Request struct {
	Method string
	URL    string
	Header []KV
	Body   []byte // nil for none
}

// Reply is what an endpoint answered.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do makes one request within ctx. Its errors are ErrBlocked, ErrTooLarge,
// ErrHeader, the context's, or one that says there was no connection: they
// carry no address, no URL and no header.
func (c *Client) Do(ctx context.Context, r Request) (Reply, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return Reply{}, fmt.Errorf("%w: not a URL", ErrBlocked)
	}
	u.Fragment = ""
	client, err := c.pick(u)
	if err != nil {
		return Reply{}, err
	}
	var body io.Reader
	if r.Body != nil {
		body = bytes.NewReader(r.Body)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, u.String(), body)
	if err != nil {
		return Reply{}, fmt.Errorf("%w: not a request", ErrBlocked)
	}
	req.Header.Set("User-Agent", userAgent)
	for _, h := range r.Header {
		if !httpguts.ValidHeaderFieldName(h.Key) || !httpguts.ValidHeaderFieldValue(h.Value) {
			return Reply{}, ErrHeader
		}
		req.Header.Set(h.Key, h.Value)
	}
	resp, err := client.Do(req)
	if err != nil {
		return Reply{}, withoutAddress(ctx, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err != nil {
		return Reply{Status: resp.StatusCode}, withoutAddress(ctx, err)
	}
	if len(b) > maxReply {
		return Reply{Status: resp.StatusCode}, ErrTooLarge
	}
	return Reply{Status: resp.StatusCode, Header: resp.Header, Body: b}, nil
}

// withoutAddress says what happened without the words of the network, which
// name addresses, URLs and what was sent.
func withoutAddress(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, e := range []error{
		ErrBlocked, ssrf.ErrProhibitedIP, ssrf.ErrProhibitedNetwork, ssrf.ErrProhibitedPort, ssrf.ErrInvalidHostPort,
	} {
		if errors.Is(err, e) {
			return ErrBlocked
		}
	}
	var name *net.DNSError
	var cert *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &name):
		return errNoName
	case errors.Is(err, syscall.ECONNREFUSED):
		return errNoListener
	case errors.As(err, &cert):
		return errNotTrusted
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return errNoTLS
	}
	return errUnreachable
}
