package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/patchcord/patchcord/engine"
)

// spool is a file in which parts of calls wait for a database that takes nothing:
// the oldest ones, in their order. Its room is reserved when it is made, so that
// a full disk takes none of it. It belongs to the writer.
//
//	 0  magic "PCSPOOL1"
//	 8  generation: counts how often the file was emptied
//	16  place of the first entry that the database has not taken
//	24  CRC-32 of what is before
//	64  entries: length, CRC-32 of the generation and the JSON, JSON; a length of 0 is the end
//
// Numbers are big-endian. What a process that was killed had not written whole
// fails its sum, and is the end; so does what an earlier generation left there.
type spool struct {
	f    *os.File
	lock io.Closer
	size int64 // of the file
	gen  uint64
	head int64
	tail int64 // place of the end

	waiting atomic.Int64 // bytes of entries, for Queued
}

const (
	spoolMagic  = "PCSPOOL1"
	spoolHead   = 28 // bytes of the header that are in use
	spoolFirst  = 64 // place of the first entry
	spoolPrefix = 8  // length and sum
	longestPart = 32 << 20
	spoolSize   = 64 << 20
)

// errSpoolFull tells that what is to wait has no room.
var errSpoolFull = errors.New("the spool is full")

// spooled is an entry.
type spooled struct {
	Record   *engine.Record `json:"record,omitempty"`
	Ended    bool           `json:"ended,omitempty"`
	Event    *eventRow      `json:"event,omitempty"`
	Delivery *deliveryRow   `json:"delivery,omitempty"`
	Ends     bool           `json:"ends,omitempty"`
	Settled  *settled       `json:"settled,omitempty"`
}

// openSpool opens or makes a file of size bytes. What is no spool is put aside.
// reserved is nil where its room on the disk is kept for it.
func openSpool(path string, size int64) (s *spool, reserved error, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, nil, fmt.Errorf("make the folder of %s: %w", path, err)
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, nil, err
	}
	s = &spool{lock: lock, size: size}
	s.f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // beside the operator's store
	if err == nil {
		err = s.begin(path)
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open %s: %w", path, err), s.close())
	}
	return s, reserve(s.f, s.size), nil
}

// begin reads what is in the file.
func (s *spool) begin(path string) error {
	st, err := s.f.Stat()
	if err != nil {
		return err
	}
	if st.Size() == 0 {
		return s.restart(1)
	}
	s.size = max(s.size, st.Size())
	head := make([]byte, spoolHead)
	_, err = s.f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	s.gen, s.head = binary.BigEndian.Uint64(head[8:]), int64(binary.BigEndian.Uint64(head[16:])) //nolint:gosec // checked
	if string(head[:8]) != spoolMagic || binary.BigEndian.Uint32(head[24:]) != crc32.ChecksumIEEE(head[:24]) ||
		s.head < spoolFirst || s.head > s.size {
		_ = s.f.Close()
		if err := os.Rename(path, path+".bad"); err != nil {
			return err
		}
		if s.f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil { //nolint:gosec // as above
			return err
		}
		return s.restart(1)
	}
	for s.tail = s.head; ; {
		b, err := s.at(s.tail)
		if err != nil || b == nil {
			s.waiting.Store(s.tail - s.head)
			return err
		}
		s.tail += spoolPrefix + int64(len(b))
	}
}

// restart empties the file.
func (s *spool) restart(gen uint64) error {
	s.gen, s.tail = gen, spoolFirst
	return s.advance(spoolFirst)
}

// at is the entry at a place, nil at the end.
func (s *spool) at(place int64) ([]byte, error) {
	var prefix [spoolPrefix]byte
	if place+spoolPrefix > s.size {
		return nil, nil
	}
	if _, err := s.f.ReadAt(prefix[:], place); err != nil {
		return nil, notEOF(err)
	}
	n := int64(binary.BigEndian.Uint32(prefix[:]))
	if n == 0 || n > longestPart || place+spoolPrefix+n > s.size {
		return nil, nil
	}
	b := make([]byte, n)
	if _, err := s.f.ReadAt(b, place+spoolPrefix); err != nil {
		return nil, notEOF(err)
	}
	if binary.BigEndian.Uint32(prefix[4:]) != s.sum(b) {
		return nil, nil
	}
	return b, nil
}

func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (s *spool) sum(b []byte) uint32 {
	gen := binary.BigEndian.AppendUint64(nil, s.gen)
	return crc32.Update(crc32.ChecksumIEEE(gen), crc32.IEEETable, b)
}

// next is the first parts that wait, at most n, and the place behind them. What is
// no part is left out: nobody can write it.
func (s *spool) next(n int) (items []item, end int64, err error) {
	if s == nil {
		return nil, 0, nil
	}
	for end = s.head; end < s.tail && len(items) < n; {
		b, err := s.at(end)
		if err != nil {
			return nil, s.head, fmt.Errorf("read the spool: %w", err)
		}
		if b == nil { // somebody has written into it: what is behind is nobody's to tell
			s.tail = end
			break
		}
		end += spoolPrefix + int64(len(b))
		var p spooled
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber() // variables stay as they were
		if d.Decode(&p) == nil {
			items = append(items, item{
				record: p.Record, ended: p.Ended, event: p.Event, delivery: p.Delivery, ends: p.Ends, settled: p.Settled,
			})
		}
	}
	return items, end, nil
}

// empty tells whether nothing waits.
func (s *spool) empty() bool { return s == nil || s.head == s.tail }

// advance forgets what the database has taken, up to a place; when that is all,
// the file begins anew.
func (s *spool) advance(to int64) error {
	if to == s.tail && to > spoolFirst {
		return s.restart(s.gen + 1)
	}
	s.head = to
	head := append(make([]byte, 0, spoolHead), spoolMagic...)
	head = binary.BigEndian.AppendUint64(head, s.gen)
	head = binary.BigEndian.AppendUint64(head, uint64(s.head)) //nolint:gosec // a place in the file
	head = binary.BigEndian.AppendUint32(head, crc32.ChecksumIEEE(head))
	if _, err := s.f.WriteAt(head, 0); err != nil {
		return fmt.Errorf("write the spool: %w", err)
	}
	s.waiting.Store(s.tail - s.head)
	return s.f.Sync()
}

// append lets parts wait behind the others, and tells how many found room.
func (s *spool) append(items []item) (n int, err error) {
	if s == nil {
		return 0, errSpoolFull
	}
	var out []byte
	for _, it := range items {
		b, err := json.Marshal(spooled{it.record, it.ended, it.event, it.delivery, it.ends, it.settled})
		switch {
		case err != nil || len(b) > longestPart: // what has no JSON no database takes
			n++
			continue
		case s.tail+int64(len(out)+spoolPrefix+len(b)) > s.size:
			if err := s.write(out); err != nil {
				return 0, err
			}
			return n, errSpoolFull
		}
		out = binary.BigEndian.AppendUint32(out, uint32(len(b))) //nolint:gosec // at most longestPart
		out = binary.BigEndian.AppendUint32(out, s.sum(b))
		out = append(out, b...)
		n++
	}
	if err := s.write(out); err != nil {
		return 0, err
	}
	return n, nil
}

// write puts entries behind the others, and the end behind them.
func (s *spool) write(out []byte) error {
	if len(out) == 0 {
		return nil
	}
	end := s.tail + int64(len(out))
	if end+4 <= s.size {
		out = append(out, 0, 0, 0, 0)
	}
	if _, err := s.f.WriteAt(out, s.tail); err != nil {
		return fmt.Errorf("write the spool: %w", err)
	}
	if err := s.f.Sync(); err != nil {
		return fmt.Errorf("write the spool: %w", err)
	}
	s.tail = end
	s.waiting.Store(s.tail - s.head)
	return nil
}

func (s *spool) close() error {
	if s == nil {
		return nil
	}
	var errs []error
	if s.f != nil {
		errs = append(errs, s.f.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
