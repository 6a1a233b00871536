package cluster

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Fault is a fault of a configuration: which key, what is wrong, what to do.
type Fault struct{ Key, What, Do string }

func (f *Fault) Error() string {
	if f.Do == "" {
		return f.Key + ": " + f.What
	}
	return f.Key + ": " + f.What + "; " + f.Do
}

func (c *Config) alone() bool { return c.NATS == "" && c.Listen == "" && len(c.Routes) == 0 }

// Check tells all that is wrong, each a *Fault: it opens nothing but the files
// that are named.
//
// What is said between nodes are calls: their words, their sound, and commands to
// them. So nodes show each other a password, and beyond this machine they speak
// TLS with certificates on both sides. There is no way around that but the way of
// a sidecar or a tunnel, which ends on this machine.
func (c *Config) Check() error {
	var fs []error
	fault := func(key, what, do string) { fs = append(fs, &Fault{key, what, do}) }
	if c.Name != "" && (!inSubject(c.Name) || len(c.Name) > 32) {
		fault("name", fmt.Sprintf("%q is no name", c.Name), "write up to 32 letters and digits, without dots")
	}
	meshed := c.Listen != "" || len(c.Routes) > 0
	t := c.TLS
	switch {
	case c.alone():
		for _, k := range []struct{ name, value string }{
			{"user", c.User},
			{"password", c.Password.Reveal()},
			{"token", c.Token.Reveal()},
			{"credentials", c.Credentials},
			{"tls.cert", t.Cert},
			{"tls.key", t.Key},
			{"tls.ca", t.CA},
		} {
			if k.value != "" {
				fault(k.name, "one node needs none", "set listen and routes, or nats, or leave it out")
			}
		}
		return join(fs)
	case c.NATS != "" && meshed:
		fault("nats", "nats together with listen or routes", "use an existing NATS, or nodes that find each other, not both")
		return join(fs)
	}
	if (t.Cert == "") != (t.Key == "") {
		fault("tls.cert", "a certificate without its key, or a key without its certificate", "set tls.cert and tls.key")
	}
	if _, err := c.certificates(); err != nil {
		fault("tls", err.Error(), "name PEM files of a certificate, its key, and of the authority of all nodes")
	}
	if meshed {
		c.checkMesh(fault)
	} else {
		c.checkNATS(fault)
	}
	return join(fs)
}

func (c *Config) checkMesh(fault func(key, what, do string)) {
	const needed = "openssl rand -hex 24 makes one; all nodes have the same"
	switch {
	case c.User == "":
		fault("user", "nodes that find each other without a user", "write one; all nodes have the same")
	case c.Password == "":
		fault("password", "nodes that find each other without a password", needed)
	}
	if c.Token != "" || c.Credentials != "" {
		fault("token", "token and credentials are for an existing NATS", "set user and password")
	}
	beyond := ""
	switch host, port, err := net.SplitHostPort(c.Listen); {
	case c.Listen == "":
		fault("listen", "routes without listen", "write where the other nodes reach this one, such as 0.0.0.0:6222")
	case err != nil || !isPort(port) && port != "0": // 0: any
		fault("listen", fmt.Sprintf("%q is no host:port", c.Listen), "write one such as 0.0.0.0:6222")
	case !onLoopback(host):
		beyond = "listen"
	}
	for i, r := range c.Routes {
		key := fmt.Sprintf("routes[%d]", i)
		u, err := url.Parse(r)
		switch {
		case err != nil || u.Scheme != "nats" || u.Hostname() == "" || !isPort(u.Port()) || u.Path != "" || u.RawQuery != "":
			fault(key, "no route", "write one such as nats://node-b:6222")
		case u.User != nil:
			fault(key, "a route with a password in it", "set user and password; all nodes have the same")
		case !onLoopback(u.Hostname()) && beyond == "":
			beyond = key
		}
	}
	if t := c.TLS; beyond != "" && (t.Cert == "" || t.Key == "" || t.CA == "") {
		fault(beyond, "calls would cross the network in the clear",
			"set tls.cert, tls.key and tls.ca, or keep to 127.0.0.1 (docs/scaling.md)")
	}
}

func (c *Config) checkNATS(fault func(key, what, do string)) {
	ways := 0
	for _, used := range []bool{c.User != "", c.Token != "", c.Credentials != ""} {
		if used {
			ways++
		}
	}
	if ways > 1 {
		fault("token", "more than one of user, token and credentials", "use one")
	}
	if (c.User == "") != (c.Password == "") {
		fault("user", "a user without a password, or a password without a user", "set user and password")
	}
	for _, s := range strings.Split(c.NATS, ",") {
		u, err := url.Parse(strings.TrimSpace(s))
		switch {
		case err != nil || u.Scheme != "nats" && u.Scheme != "tls" || u.Hostname() == "" || u.Path != "":
			fault("nats", "no URL of a NATS", "write one such as tls://nats.example.com:4222, several with commas")
		case u.User != nil:
			fault("nats", "a URL with a password in it", "set user and password, token or credentials")
		case u.Scheme == "nats" && !onLoopback(u.Hostname()) && c.TLS.CA == "":
			fault("nats", "calls would cross the network in the clear", "write tls://, or set tls.ca")
		}
	}
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// onLoopback tells whether a host is this machine by its name alone; "" is every
// address.
func onLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

func join(fs []error) error { return errors.Join(fs...) }
