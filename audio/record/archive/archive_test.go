package archive

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // as S3 has it
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func recorded(t *testing.T, dir, name string, size int) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, bytes.Repeat([]byte(name[:1]), size), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func opened(t *testing.T, url, spool string) *Archive {
	t.Helper()
	a, err := Open(t.Context(), Config{URL: url, Spool: spool})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// served runs f while the archive is served, and ends it.
func served(t *testing.T, a *Archive, f func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := a.Serve(ctx, time.Second); err != nil {
			t.Error(err)
		}
	})
	f()
	cancel()
	wg.Wait()
}

func read(t *testing.T, a *Archive, path string) string {
	t.Helper()
	r, err := a.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // read only
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func gone(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// A recording moves into the bucket, and is read from there as it was from the
// spool, from anywhere within it.
func TestARecordingIsMoved(t *testing.T) {
	t.Parallel()
	spool := t.TempDir()
	a := opened(t, "file://"+filepath.ToSlash(t.TempDir())+"/deep?create_dir=true&no_tmp_dir=true", spool)
	path := recorded(t, spool, "a.wav", 100_000)
	if got := read(t, a, path); got != strings.Repeat("a", 100_000) {
		t.Errorf("%d bytes of the spool", len(got))
	}
	a.Add(path)
	served(t, a, func() {})
	if !gone(path) || a.Waiting() != 0 {
		t.Errorf("the file is gone: %v; %d wait", gone(path), a.Waiting())
	}
	if got := read(t, a, path); got != strings.Repeat("a", 100_000) {
		t.Errorf("%d bytes of the bucket", len(got))
	}
	r, err := a.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // read only
	if n, err := r.Seek(0, io.SeekEnd); err != nil || n != 100_000 {
		t.Errorf("%d bytes long, %v", n, err)
	}
	if _, err := r.Seek(99_990, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || len(b) != 10 {
		t.Errorf("%d bytes of its end, %v", len(b), err)
	}
	if _, err := a.Open(t.Context(), filepath.Join(spool, "none.wav")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("one that is nowhere: %v", err)
	}
}

// What an earlier process left in the spool is stored by the next one; other files
// there are left alone.
func TestWhatWasLeftIsStored(t *testing.T) {
	t.Parallel()
	spool, bucket := t.TempDir(), t.TempDir()
	for _, name := range []string{"b.wav", "a.wav", "notes.txt"} {
		recorded(t, spool, name, 1000)
	}
	a := opened(t, "file://"+filepath.ToSlash(bucket)+"?metadata=skip", spool)
	if n := a.Waiting(); n != 2 {
		t.Errorf("%d wait, want 2", n)
	}
	served(t, a, func() {})
	if gone(filepath.Join(spool, "notes.txt")) || !gone(filepath.Join(spool, "a.wav")) || gone(filepath.Join(bucket, "b.wav")) {
		t.Error("not the recordings alone were moved")
	}
}

// While the bucket is away recordings wait in the spool and are tried again, less
// and less often; nothing is lost and each is stored once.
func TestABucketThatIsAway(t *testing.T) {
	spool, parent := t.TempDir(), t.TempDir()
	bucket := filepath.Join(parent, "bucket")
	if err := os.Mkdir(bucket, 0o700); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		a, err := Open(t.Context(), Config{
			URL: "file://" + filepath.ToSlash(bucket) + "?metadata=skip&no_tmp_dir=true", Spool: spool, Log: zap.New(core),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(bucket, bucket+".away"); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(bucket, nil, 0o600); err != nil { // where the folder was
			t.Fatal(err)
		}
		served(t, a, func() {
			for _, name := range []string{"a.wav", "b.wav", "c.wav"} {
				a.Add(recorded(t, spool, name, 1000))
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if n := logs.FilterMessage("a recording is not stored yet").Len(); n < 12 || n > 40 || a.Waiting() != 3 {
				t.Errorf("tried %d times in an hour, %d wait", n, a.Waiting())
			}
			if err := errors.Join(os.Remove(bucket), os.Rename(bucket+".away", bucket)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(retryMost + time.Second)
			synctest.Wait()
			if a.Waiting() != 0 {
				t.Errorf("%d wait though the bucket is back", a.Waiting())
			}
		})
		for _, name := range []string{"a.wav", "b.wav", "c.wav"} {
			if !gone(filepath.Join(spool, name)) || gone(filepath.Join(bucket, name)) {
				t.Errorf("%s is not stored", name)
			}
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
}

// s3 is a store that speaks as much of S3 as one upload and one download need.
type s3 struct {
	mu     sync.Mutex // guards what follows
	away   bool
	broken bool // it keeps half of what it gets
	kept   map[string][]byte
	auth   string
}

func (s *s3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.auth = r.Header.Get("Authorization")
	body, known := s.kept[r.URL.Path]
	switch {
	case s.away:
		w.WriteHeader(http.StatusServiceUnavailable)
	case r.Method == http.MethodPut:
		b, _ := io.ReadAll(r.Body)
		sum := md5.Sum(b) //nolint:gosec // as above
		if want := r.Header.Get("Content-MD5"); want != "" && want != base64.StdEncoding.EncodeToString(sum[:]) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if s.broken {
			b = b[:len(b)/2]
		}
		s.kept[r.URL.Path] = b
		w.Header().Set("ETag", fmt.Sprintf("%q", fmt.Sprintf("%x", sum)))
	case !known:
		w.WriteHeader(http.StatusNotFound)
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, "<Error><Code>NoSuchKey</Code></Error>")
		}
	default:
		w.Header().Set("ETag", `"x"`)
		http.ServeContent(w, r, "", time.Unix(1, 0), bytes.NewReader(body))
	}
}

// breaks has it keep half of what it gets, or all again.
func (s *s3) breaks(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = on
}

// Object storage that speaks S3, with an endpoint of its own; what it kept only a
// part of stays in the spool.
func TestObjectStorage(t *testing.T) {
	store := &s3{kept: map[string][]byte{}}
	server := httptest.NewServer(store)
	defer server.Close()
	for _, v := range [][2]string{
		{"AWS_ACCESS_KEY_ID", "key"}, {"AWS_SECRET_ACCESS_KEY", "secret"}, {"AWS_EC2_METADATA_DISABLED", "true"},
	} {
		t.Setenv(v[0], v[1])
	}
	spool := t.TempDir()
	a := opened(t, "s3://calls?region=eu-central-1&use_path_style=true&request_checksum_calculation=when_required&endpoint="+
		server.URL, spool)
	path := recorded(t, spool, "a.wav", 50_000)
	store.breaks(true)
	if err := a.store(t.Context(), path); err == nil || gone(path) {
		t.Errorf("half of it is kept: %v", err)
	}
	store.breaks(false)
	a.Add(path)
	served(t, a, func() {})
	store.mu.Lock()
	n, auth := len(store.kept["/calls/a.wav"]), store.auth
	store.mu.Unlock()
	if n != 50_000 || !gone(path) || !strings.Contains(auth, "Credential=key/") || strings.Contains(auth, "secret") {
		t.Errorf("%d bytes are stored, signed by %q", n, auth)
	}
	if got := read(t, a, path); len(got) != 50_000 {
		t.Errorf("%d bytes are read", len(got))
	}
	if _, err := a.Open(t.Context(), filepath.Join(spool, "none.wav")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("one that is nowhere: %v", err)
	}
}

func TestBucketsThatCannotBe(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"gs://bucket":                 "gs:// is no store of this build: it has file, mem, s3",
		"s3://":                       "it names no bucket",
		"s3://b?who=knows&key=secret": "open s3://b:",
		"file:///no/such/folder":      "open file:///no/such/folder:",
	} {
		_, err := Open(t.Context(), Config{URL: url, Spool: t.TempDir()})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "key=secret") {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
	if Is("recordings") || Is("/var/lib/recordings") || !Is("mem://") {
		t.Error("a folder and a bucket are not told apart")
	}
}
