package sip

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/internal/lockfile"
)

// Dialogs is a file of the dialogs that are up, and of our INVITEs that are under
// way. A process that is killed ends no call: the next one reads there which were
// open, and a UserAgent with it ends them by BYE or CANCEL. Calls never wait for the
// file. One line is an INVITE that has left, a dialog that stands or has changed, or
// that either is over:
//
//	{"tag":"7f3a…","call_id":"…","local":"…","remote":"…","branch":"z9hG4bK…","seq":1,…}
//	{"tag":"7f3a…","call_id":"…","local":"…","remote":"…","target":"…","seq":1000,…}
//	{"tag":"7f3a…","over":true}
//
// A line that was torn is passed over. What a process that was killed has written
// is there; a machine that loses its power may lose the last second.
type Dialogs struct {
	path string
	log  *zap.Logger
	lock io.Closer
	left []*standing // what the process before left open, to be taken once

	mu     sync.Mutex // guards what follows
	queue  map[string]queued
	closed bool
	wake   chan struct{} // 1: a signal that there is something, more would say no more
	done   chan struct{} // closed when the writer has ended

	// Of the writer.
	file *os.File
	live map[string]*standing // what is up by the file
	size int                  // of the file, bytes
	kept int                  // of it what is live, about
	torn bool                 // its last line may be: it has to be written anew
}

// queued is a line that waits for the writer.
type queued struct {
	*standing
	first bool // the file has none of its dialog yet
}

// Bounds of the file.
const (
	dialogsMax   = 64 << 20 // read at the start, bytes: a hundred thousand dialogs
	dialogsSlack = 1 << 20  // of lines that say nothing any more, until it is written anew
	dialogsSync  = time.Second
	// dialogLife is how old a dialog may be that is ended: no peer holds a call
	// for so long that nobody has spoken in.
	dialogLife = 24 * time.Hour
)

// ErrTaken is the fault of a file of dialogs that another process has.
var ErrTaken = lockfile.ErrTaken

// OpenDialogs opens or makes the file, which this process has for itself until
// Close. It holds no secrets; only its owner may read it, for it names who calls
// whom.
func OpenDialogs(path string, log *zap.Logger) (*Dialogs, error) {
	if log == nil {
		log = zap.NewNop()
	}
	lock, err := lockfile.Take(path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("sip: file of dialogs: %w", err)
	}
	j := &Dialogs{
		path: path, log: log, lock: lock, queue: map[string]queued{}, live: map[string]*standing{},
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	if err := j.load(); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("sip: file of dialogs: %w", err)
	}
	go func() { // waited for in Close
		defer close(j.done)
		j.write()
	}()
	return j, nil
}

// load reads what is there, and begins the file anew with what of it counts.
func (j *Dialogs) load() error {
	f, err := os.Open(j.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var text []byte
	if err == nil {
		text, err = io.ReadAll(io.LimitReader(f, dialogsMax))
		_ = f.Close()
		if err != nil {
			return err
		}
	}
	live, order, bad := readDialogs(text)
	if bad > 0 {
		j.log.Warn("sip: lines of the file of dialogs that cannot be read are passed over; the calls they name are not ended",
			zap.String("file", j.path), zap.Int("lines", bad))
	}
	oldest := time.Now().Add(-dialogLife).Unix()
	for _, tag := range order {
		if s := live[tag]; s.At >= oldest {
			j.live[tag] = s
			j.left = append(j.left, s)
		}
	}
	return j.anew()
}

// readDialogs is what a file tells of: dialogs by their tag, in the order in
// which they began, and how many lines say nothing. That the last one is torn
// is the ordinary end of a process, and not counted.
func readDialogs(text []byte) (live map[string]*standing, order []string, bad int) {
	live = map[string]*standing{}
	for len(text) > 0 {
		line, rest, whole := bytes.Cut(text, []byte("\n"))
		text = rest
		if len(line) == 0 {
			continue
		}
		s, err := parseStanding(line)
		switch {
		case err != nil && whole:
			bad++
		case err != nil:
		case s.Over:
			delete(live, s.Tag)
		default:
			if live[s.Tag] == nil {
				order = append(order, s.Tag)
			}
			live[s.Tag] = s
		}
	}
	seen := map[string]bool{}
	return live, slices.DeleteFunc(order, func(tag string) bool {
		again := seen[tag] || live[tag] == nil
		seen[tag] = true
		return again
	}), bad
}

// put has a dialog written; first says that it is new.
func (j *Dialogs) put(s *standing, first bool) {
	j.mu.Lock()
	if !j.closed {
		j.queue[s.Tag] = queued{s, first || j.queue[s.Tag].first}
	}
	j.mu.Unlock()
	j.signal()
}

// strike has a dialog struck out.
func (j *Dialogs) strike(tag string) {
	j.mu.Lock()
	if j.queue[tag].first {
		delete(j.queue, tag)
	} else if !j.closed {
		j.queue[tag] = queued{standing: &standing{Tag: tag, Over: true}}
	}
	j.mu.Unlock()
	j.signal()
}

func (j *Dialogs) signal() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// take is what the process before left open, the first time.
func (j *Dialogs) take() []*standing {
	j.mu.Lock()
	defer j.mu.Unlock()
	left := j.left
	j.left = nil
	return left
}

// write is the writer: it takes what has gathered until Close.
func (j *Dialogs) write() {
	var sync <-chan time.Time // set while something is written that may not be on the disk
	for {
		select {
		case <-j.wake:
		case <-sync:
			sync = nil
			_ = j.file.Sync() // the next write will tell
			continue
		}
		j.mu.Lock()
		queue, over := j.queue, j.closed
		j.queue = map[string]queued{}
		j.mu.Unlock()
		if j.save(queue) && sync == nil {
			sync = time.After(dialogsSync)
		}
		if over {
			_ = j.file.Sync()
			return
		}
	}
}

// save writes a batch, and tells whether it wrote anything.
func (j *Dialogs) save(queue map[string]queued) bool {
	var out []byte
	for tag, s := range queue {
		out = append(out, s.line()...)
		if s.Over {
			delete(j.live, tag)
		} else {
			j.live[tag] = s.standing
		}
	}
	if len(out) == 0 && !j.torn {
		return false
	}
	var err error
	if !j.torn {
		var n int
		n, err = j.file.Write(out)
		j.size += n
	}
	if j.torn || err != nil || j.size > 2*j.kept+dialogsSlack {
		was := j.torn
		if again := j.anew(); again != nil {
			j.torn = err != nil || was
			if j.torn && !was {
				j.log.Error("sip: the file of dialogs cannot be written: calls are not ended if this process is killed",
					zap.String("file", j.path), zap.Error(again))
			}
			return true
		}
		if was {
			j.log.Info("sip: the file of dialogs is written again", zap.String("file", j.path))
		}
	}
	return true
}

// anew writes the file from what is live, beside the old one, and takes its
// place.
func (j *Dialogs) anew() error {
	var out []byte
	for _, s := range j.live {
		out = append(out, s.line()...)
	}
	name := j.path + ".new"
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(out); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(name, j.path)
	}
	if err != nil {
		_ = f.Close()
		_ = os.Remove(name)
		return err
	}
	if j.file != nil {
		_ = j.file.Close()
	}
	j.file, j.size, j.kept, j.torn = f, len(out), len(out), false
	return nil
}

// Close writes what is left and gives the file up.
func (j *Dialogs) Close() error {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.signal()
	<-j.done
	return errors.Join(j.file.Close(), j.lock.Close())
}
