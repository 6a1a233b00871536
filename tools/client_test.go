package tools_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/patchcord/patchcord/tools"
)

// names is a name server on loopback. Each answer of a name is the next of its
// addresses, the last one again and again; a name it does not know is none.
func nameServer(t *testing.T, addrs map[string][]string) *net.Resolver {
	t.Helper()
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{}) // closed when the server has ended
	t.Cleanup(func() {
		pc.Close()
		<-done
	})
	asked := map[string]int{}
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			var q dnsmessage.Message
			if q.Unpack(buf[:n]) != nil || len(q.Questions) != 1 {
				continue
			}
			name := strings.TrimSuffix(q.Questions[0].Name.String(), ".")
			a := dnsmessage.Message{Header: dnsmessage.Header{ID: q.ID, Response: true}, Questions: q.Questions}
			list, ok := addrs[name]
			if !ok {
				a.RCode = dnsmessage.RCodeNameError
			}
			if ok && q.Questions[0].Type == dnsmessage.TypeA {
				ip := netip.MustParseAddr(list[min(asked[name], len(list)-1)])
				asked[name]++
				a.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Questions[0].Name, Class: dnsmessage.ClassINET},
					Body:   &dnsmessage.AResource{A: ip.As4()},
				}}
			}
			b, err := a.Pack()
			if err != nil {
				continue
			}
			_, _ = pc.WriteTo(b, from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

// listen counts the connections that come to an address of loopback.
func listen(t *testing.T, addr string) (port string, count *atomic.Int64) {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	count = &atomic.Int64{}
	srv := &http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }),
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				count.Add(1)
			}
		},
	}
	done := make(chan struct{}) // closed when the server has ended
	go func() {
		defer close(done)
		_ = srv.Serve(l)
	}()
	t.Cleanup(func() {
		srv.Close()
		<-done
	})
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port, count
}

// SEC-7: whatever way an internal address is written, nothing is sent there.
func TestGuardRefusesInternalAddresses_SEC7(t *testing.T) {
	t.Parallel()
	port, seen := listen(t, "127.0.0.1:0")
	resolver := nameServer(t, map[string][]string{
		"crm.test": {"127.0.0.1"}, "metadata.test": {"169.254.169.254"}, "office.test": {"10.0.0.1"},
	})
	client, err := tools.NewClient(tools.HTTPConfig{AllowInsecureHosts: []string{"crm.test", "0.0.0.0", "127.0.0.1"}, Resolver: resolver})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, host := range []string{
		"127.0.0.1", "localhost", "crm.test", "metadata.test", "office.test", // by name and by number
		"0.0.0.0", "[::]", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]",
		"2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "127.0.1", // decimal, hexadecimal, octal, short
		"10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1", "100.64.0.1", "169.254.169.254",
		"192.0.0.1", "192.0.2.1", "198.18.0.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
		"[fd00::1]", "[fe80::1]", "[fec0::1]", "[ff02::1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::1]", "[2002:7f00:1::]", "[2001:db8::1]",
	} {
		for _, scheme := range []string{"https", "http"} {
			raw := scheme + "://" + host + ":" + port + "/"
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			_, err := client.Do(ctx, tools.Request{Method: http.MethodGet, URL: raw})
			cancel()
			if err == nil {
				t.Errorf("%s was asked", raw)
				continue
			}
			if strings.ContainsAny(err.Error(), "0123456789") {
				t.Errorf("%s: the error names an address: %v", raw, err)
			}
		}
	}
	if n := seen.Load(); n != 0 {
		t.Errorf("%d connections to loopback", n)
	}
}

// SEC-7: the address is judged in the moment of dialling, so a name that
// changes it afterwards gains nothing.
func TestGuardSeesTheAddressThatIsDialled_SEC7(t *testing.T) {
	t.Parallel()
	port, allowed := listen(t, "127.0.0.2:0")
	_, forbidden := listen(t, "127.0.0.1:"+port)
	client, err := tools.NewClient(tools.HTTPConfig{
		AllowInsecureHosts: []string{"rebind.test"}, AllowCIDRs: []string{"127.0.0.2"},
		Resolver: nameServer(t, map[string][]string{"rebind.test": {"127.0.0.2", "127.0.0.1"}}),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ask := tools.Request{Method: http.MethodGet, URL: "http://rebind.test:" + port + "/"}
	if _, err := client.Do(t.Context(), ask); err != nil {
		t.Fatalf("the allowed address: %v", err)
	}
	client.Close() // the next request looks the name up again
	if _, err := client.Do(t.Context(), ask); !errors.Is(err, tools.ErrBlocked) {
		t.Errorf("after the name moved: %v", err)
	}
	if allowed.Load() != 1 || forbidden.Load() != 0 {
		t.Errorf("%d connections to the allowed address, %d to the other", allowed.Load(), forbidden.Load())
	}
}

func TestPlainHTTPNeedsLeave(t *testing.T) {
	t.Parallel()
	port, _ := listen(t, "127.0.0.1:0")
	resolver := nameServer(t, map[string][]string{"crm.test": {"127.0.0.1"}, "other.test": {"127.0.0.1"}})
	for _, c := range []struct {
		name string
		cfg  tools.HTTPConfig
		host string
		ok   bool
	}{
		{"no leave at all", tools.HTTPConfig{}, "crm.test", false},
		{"the host alone does not open an internal address", tools.HTTPConfig{AllowInsecureHosts: []string{"crm.test"}}, "crm.test", false},
		{"the address opens http as well", tools.HTTPConfig{AllowCIDRs: []string{"127.0.0.0/8"}}, "other.test", true},
		{"both", tools.HTTPConfig{AllowInsecureHosts: []string{"CRM.test:" + port}, AllowCIDRs: []string{"127.0.0.1"}}, "crm.test", true},
	} {
		c.cfg.Resolver = resolver
		client, err := tools.NewClient(c.cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Do(t.Context(), tools.Request{Method: http.MethodGet, URL: "http://" + c.host + ":" + port + "/"})
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		client.Close()
	}
}

func TestGuardRefusesOtherSchemesAndForms(t *testing.T) {
	t.Parallel()
	client := local(t)
	for _, raw := range []string{
		"ftp://127.0.0.1/", "file:///etc/passwd", "gopher://127.0.0.1/", "//127.0.0.1/", "127.0.0.1", "", "https://", "https://:443/",
		"https://user:secret@127.0.0.1/", "http://[::1", "http://127.0.0.1\r\nX: y/",
	} {
		_, err := client.Do(t.Context(), tools.Request{Method: http.MethodGet, URL: raw})
		if !errors.Is(err, tools.ErrBlocked) {
			t.Errorf("%q: %v", raw, err)
		}
	}
	if _, err := client.Do(t.Context(), tools.Request{Method: "GET X", URL: "http://127.0.0.1/"}); err == nil {
		t.Error("a method with a space is sent")
	}
}

// SEC-7: no header injection.
func TestNoHeaderIsInjected_SEC7(t *testing.T) {
	t.Parallel()
	e := serve(t, answer("{}"))
	for _, h := range []tools.KV{
		{Key: "X-A", Value: "b\r\nX-Evil: 1"},
		{Key: "X-A", Value: "b\nc"},
		{Key: "X-A\r\nX-Evil", Value: "1"},
		{Key: "X-A", Value: "\x00"},
		{Key: "", Value: "1"},
		{Key: "X A", Value: "1"},
	} {
		_, err := local(t).Do(t.Context(), tools.Request{Method: http.MethodGet, URL: e.URL, Header: []tools.KV{h}})
		if !errors.Is(err, tools.ErrHeader) {
			t.Errorf("%q: %v", h, err)
		}
	}
	if e.asked() != 0 {
		t.Errorf("%d requests were sent", e.asked())
	}
}

// SEC-7: a reply is read up to 1 MB, a redirect is not followed.
func TestRepliesAreBounded_SEC7(t *testing.T) {
	t.Parallel()
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/redirect" {
			http.Redirect(w, r, "/target", http.StatusFound)
			return
		}
		block := []byte(strings.Repeat("x", 64<<10))
		for range 160 { // 10 MB
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	_, err := local(t).Do(t.Context(), tools.Request{Method: http.MethodGet, URL: e.URL})
	if !errors.Is(err, tools.ErrTooLarge) {
		t.Errorf("10 MB: %v", err)
	}
	r, err := local(t).Do(t.Context(), tools.Request{Method: http.MethodGet, URL: e.URL + "/redirect"})
	if err != nil || r.Status != http.StatusFound || strings.Contains(e.last(t).URL, "target") {
		t.Errorf("a redirect: %+v, %v; last asked %s", r.Status, err, e.last(t).URL)
	}
}

func TestClientConfig(t *testing.T) {
	t.Parallel()
	for _, c := range []tools.HTTPConfig{
		{AllowCIDRs: []string{"10.0.0.0/33"}},
		{AllowCIDRs: []string{"office"}},
		{AllowInsecureHosts: []string{"http://x"}},
		{AllowInsecureHosts: []string{""}},
	} {
		if _, err := tools.NewClient(c); err == nil || !strings.HasPrefix(err.Error(), "tools: allow_") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestConnectionsAreKeptForTheNextCalls(t *testing.T) {
	t.Parallel()
	const calls = 50 // at a time: more than Go keeps where it is not told
	var dialled atomic.Int64
	all, arrived := make(chan struct{}), atomic.Int64{}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if arrived.Add(1) == calls {
			close(all)
		}
		<-all // so that no call of the first round finds another's connection
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			dialled.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	c := local(t)
	for range 2 {
		var wg sync.WaitGroup
		for range calls {
			wg.Go(func() {
				if _, err := c.Do(t.Context(), tools.Request{Method: "GET", URL: s.URL}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	if n := dialled.Load(); n != calls {
		t.Errorf("%d connections for two rounds of %d calls", n, calls)
	}
}
