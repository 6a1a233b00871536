// Package archive keeps finished recordings in a bucket: a folder elsewhere, or
// object storage that speaks S3.
//
// A recording is made in a folder of the machine's own, the spool, and stays there
// until the bucket has it whole: the length and the MD5 sum are compared before the
// local file goes. While the bucket is away recordings wait in the spool and are
// tried again; what an earlier process left there is stored by the next one. Who
// asks for a recording gets it from wherever it is.
package archive

import (
	"context"
	"crypto/md5" //nolint:gosec // what S3 compares
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"
	"gocloud.dev/blob/s3blob"
	"gocloud.dev/gcerrors"
)

// How long a bucket that failed is left alone: twice as long each time.
const (
	retryFirst, retryMost = time.Second, 5 * time.Minute
	uploadTime            = 10 * time.Minute // of one recording
	lookTime              = 10 * time.Second // for what a bucket says of one
	contentType           = "audio/wav"
	ending                = ".wav"
)

// Config says where recordings go.
type Config struct {
	URL   string // of the bucket: "s3://bucket?region=…", "file:///mnt/recordings?create_dir=true", "mem://"
	Spool string // the folder where they are made
	Log   *zap.Logger
}

// Archive moves recordings from the spool into the bucket. Its methods may be
// called by any goroutine.
type Archive struct {
	cfg    Config
	log    *zap.Logger
	bucket *blob.Bucket
	wake   chan struct{} // capacity 1: one token says that there is something

	mu   sync.Mutex // guards what follows
	todo []string   // paths, in the order they came
}

// buckets are the kinds that are built in.
func buckets() *blob.URLMux {
	m := new(blob.URLMux)
	m.RegisterBucket(fileblob.Scheme, &fileblob.URLOpener{})
	m.RegisterBucket(memblob.Scheme, &memblob.URLOpener{})
	m.RegisterBucket(s3blob.Scheme, &s3blob.URLOpener{})
	return m
}

// Is tells whether a place for recordings is a bucket, not a folder.
func Is(place string) bool { return strings.Contains(place, "://") }

// Check finds what is wrong with the URL of a bucket, without asking it anything.
func Check(place string) error {
	u, err := url.Parse(place)
	if err != nil {
		return errors.New("it is no URL")
	}
	if m := buckets(); !m.ValidBucketScheme(u.Scheme) {
		return fmt.Errorf("%s:// is no store of this build: it has %s", u.Scheme, strings.Join(m.BucketSchemes(), ", "))
	}
	if u.Scheme == s3blob.Scheme && u.Host == "" {
		return errors.New("it names no bucket")
	}
	return nil
}

// Open makes an archive, and finds what an earlier process left in the spool. It
// does not ask whether the bucket is there.
func Open(ctx context.Context, cfg Config) (*Archive, error) {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if err := Check(cfg.URL); err != nil {
		return nil, fmt.Errorf("archive: open %s: %w", shown(cfg.URL), err)
	}
	b, err := buckets().OpenBucket(ctx, cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("archive: open %s: %w", shown(cfg.URL), err)
	}
	a := &Archive{cfg: cfg, log: cfg.Log, bucket: b, wake: make(chan struct{}, 1)}
	if err := a.left(); err != nil {
		return nil, errors.Join(fmt.Errorf("archive: %w", err), b.Close())
	}
	return a, nil
}

// shown is a URL without what may be secret.
func shown(place string) string {
	place, _, _ = strings.Cut(place, "?")
	if u, err := url.Parse(place); err == nil {
		return u.Redacted()
	}
	return "the bucket"
}

// left finds the recordings in the spool, the oldest first.
func (a *Archive) left() error {
	if err := os.MkdirAll(a.cfg.Spool, 0o750); err != nil {
		return fmt.Errorf("make the spool: %w", err)
	}
	entries, err := os.ReadDir(a.cfg.Spool) // by name, which begins with the time
	if err != nil {
		return fmt.Errorf("read the spool: %w", err)
	}
	for _, e := range entries {
		if e.Type().IsRegular() && filepath.Ext(e.Name()) == ending {
			a.Add(filepath.Join(a.cfg.Spool, e.Name()))
		}
	}
	if n := a.Waiting(); n > 0 {
		a.log.Info("recordings of an earlier process are stored now", zap.Int("recordings", n))
	}
	return nil
}

// Add has a recording stored that is finished.
func (a *Archive) Add(path string) {
	a.mu.Lock()
	a.todo = append(a.todo, path)
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Waiting is how many recordings are not in the bucket yet.
func (a *Archive) Waiting() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.todo)
}

func (a *Archive) first() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.todo) == 0 {
		return ""
	}
	return a.todo[0]
}

func (a *Archive) done() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.todo = slices.Delete(a.todo, 0, 1)
}

// Serve stores what there is until ctx ends, then for as long as wait what waits
// still; what is left is the next process's.
func (a *Archive) Serve(ctx context.Context, wait time.Duration) error {
	fails := 0
	for {
		if path := a.first(); path != "" {
			err := a.store(ctx, path)
			switch {
			case err == nil:
				if fails > 0 {
					a.log.Info("recordings are stored again", zap.Int("waiting", a.Waiting()))
				}
				fails = 0
				a.done()
				continue
			case ctx.Err() == nil:
				again := min(retryFirst<<min(fails, 20), retryMost)
				again = again/2 + rand.N(again/2+1) //nolint:gosec // no secret
				fails++
				a.log.Warn("a recording is not stored yet", zap.String("recording", filepath.Base(path)), zap.Error(err),
					zap.Int("waiting", a.Waiting()), zap.Int64("retry_ms", again.Milliseconds()))
				pause(ctx, again)
			}
		} else {
			select {
			case <-a.wake:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			a.last(ctx, wait)
			return nil //nolint:nilerr // the end it was told of
		}
	}
}

// last stores what waits when the process ends, each once.
func (a *Archive) last(ctx context.Context, wait time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wait)
	defer cancel()
	for path := a.first(); path != "" && ctx.Err() == nil; path = a.first() {
		if err := a.store(ctx, path); err != nil {
			break
		}
		a.done()
	}
	if n := a.Waiting(); n > 0 {
		a.log.Warn("recordings are left in the spool: the next start stores them", zap.Int("recordings", n))
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// store puts one recording into the bucket and removes the file.
func (a *Archive) store(ctx context.Context, path string) error {
	f, err := os.Open(path) //nolint:gosec // of the spool
	if errors.Is(err, fs.ErrNotExist) {
		a.log.Warn("a recording is gone from the spool", zap.String("recording", filepath.Base(path)))
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()  //nolint:errcheck // read only
	sum := md5.New() //nolint:gosec // as above
	size, err := io.Copy(sum, f)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, uploadTime)
	defer cancel() // before Close this keeps a part from being taken for the whole
	key := filepath.Base(path)
	w, err := a.bucket.NewWriter(ctx, key, &blob.WriterOptions{ContentType: contentType, ContentMD5: sum.Sum(nil)})
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if _, err := io.Copy(w, f); err != nil {
		cancel()
		return fmt.Errorf("store: %w", errors.Join(err, w.Close()))
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	kept, err := a.bucket.Attributes(ctx, key)
	if err != nil {
		return fmt.Errorf("look at what is stored: %w", err)
	}
	if kept.Size != size {
		return fmt.Errorf("%d of %d bytes are stored", kept.Size, size)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove the local file: %w", err)
	}
	return nil
}

// Open gives a recording by the path it was made at: the file while it is there,
// else what the bucket has. Where neither has it the error is fs.ErrNotExist. ctx
// is for all of the reading.
func (a *Archive) Open(ctx context.Context, path string) (io.ReadSeekCloser, error) {
	f, err := os.Open(path) //nolint:gosec // of our own record
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	look, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	if _, err = a.bucket.Attributes(look, filepath.Base(path)); err == nil {
		var r *blob.Reader
		if r, err = a.bucket.NewReader(ctx, filepath.Base(path), nil); err == nil {
			return r, nil
		}
	}
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil, fmt.Errorf("archive: %s: %w", filepath.Base(path), fs.ErrNotExist)
	}
	return nil, fmt.Errorf("archive: read %s: %w", filepath.Base(path), err)
}

// Close closes the bucket.
func (a *Archive) Close() error { return a.bucket.Close() }
