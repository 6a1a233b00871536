// Package certificate is a certificate with its key that is read from PEM
// files, and read again when it is renewed: nothing has to be started anew.
//
// A renewal is seen by the files' times and sizes, looked at once a second at
// most, when somebody connects. Files that cannot be used, such as a new
// certificate whose key is not written yet, leave the one before in use.
package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// lookEvery is how often the files are looked at.
const lookEvery = time.Second

// Pair is a certificate, with those that lead to its authority, and its key.
type Pair struct {
	cert, key string // the files
	now       func() time.Time

	used atomic.Pointer[tls.Certificate]

	// turn is held, only ever tried, by the one who looks at the files; it
	// guards what follows.
	turn   sync.Mutex
	looked time.Time
	seen   [2]stamp
}

// stamp is what a file is told to be another by.
type stamp struct {
	at   time.Time
	size int64
}

// Load reads the certificate and the key, which may be one file.
func Load(cert, key string) (*Pair, error) {
	p := &Pair{cert: cert, key: key, now: time.Now}
	p.looked, p.seen = p.now(), p.stamps()
	c, err := p.read()
	if err != nil {
		return nil, err
	}
	p.used.Store(c)
	return p, nil
}

func (p *Pair) read() (*tls.Certificate, error) {
	for _, file := range []string{p.cert, p.key} {
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
	}
	c, err := tls.LoadX509KeyPair(p.cert, p.key)
	if err != nil {
		return nil, fmt.Errorf("certificate: %s with the key %s: %w", p.cert, p.key, err)
	}
	if c.Leaf == nil {
		if c.Leaf, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
			return nil, fmt.Errorf("certificate: %s: %w", p.cert, err)
		}
	}
	return &c, nil
}

func (p *Pair) stamps() (s [2]stamp) {
	for i, file := range []string{p.cert, p.key} {
		if st, err := os.Stat(file); err == nil {
			s[i] = stamp{st.ModTime(), st.Size()}
		}
	}
	return s
}

// Current is the certificate to use now. told hears of a renewal, once, and of
// one that cannot be used.
func (p *Pair) Current(told func(error)) *tls.Certificate {
	if p.turn.TryLock() {
		defer p.turn.Unlock()
		p.look(told)
	}
	return p.used.Load()
}

// look reads the files where they are others than before.
func (p *Pair) look(told func(error)) {
	now := p.now()
	if now.Sub(p.looked) < lookEvery {
		return
	}
	p.looked = now
	seen := p.stamps()
	if seen == p.seen {
		return
	}
	p.seen = seen
	c, err := p.read()
	if err == nil {
		p.used.Store(c)
	}
	told(err)
}

// Ends is when the certificate is not valid any more.
func (p *Pair) Ends() time.Time { return p.used.Load().Leaf.NotAfter }

// Same tells whether two are the same files.
func (p *Pair) Same(other *Pair) bool {
	return p == other || p != nil && other != nil && p.cert == other.cert && p.key == other.key
}
