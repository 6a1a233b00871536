package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/patchcord/patchcord/audio"
)

var errFull = errors.New("record: file reaches 4 GiB, the most that a WAV file can hold")

// flush writes what both sides have told, and on the last time all there is.
func (r *Recorder) flush(last bool) error {
	caller, isCaller := r.caller.end()
	agent, isAgent := r.agent.end()
	if isCaller || isAgent {
		r.first()
		newest := max(caller, agent)
		if !isCaller {
			newest = agent
		} else if !isAgent {
			newest = caller
		}
		until := newest
		if !last {
			// A side that has told nothing for a while is silent; up to then it may
			// only be late.
			until = newest - int64(audio.Samples(lag, r.rate))
			if isCaller && isAgent {
				until = max(until, min(caller, agent))
			}
		}
		if err := r.writeUntil(until); err != nil {
			return err
		}
	}
	if last || r.at-r.patched >= int64(audio.Samples(patchEvery, r.rate)) {
		return r.patch()
	}
	return nil
}

// first lets the file start with the first sound of either side.
func (r *Recorder) first() {
	if r.started {
		return
	}
	r.started = true
	at, _, isCaller := r.caller.oldest()
	agent, _, isAgent := r.agent.oldest()
	if !isCaller || isAgent && agent < at {
		at = agent
	}
	r.base, r.at, r.patched = at, at, at
}

// writeUntil writes both sides up to a position.
func (r *Recorder) writeUntil(until int64) error {
	for r.at < until {
		if r.file == nil && r.skip(until) {
			continue
		}
		n := int(min(until-r.at, Block))
		if r.file != nil && 4*(r.at-r.base+int64(n)) > maxData {
			return errFull
		}
		clear(r.pcm[:2*n])
		r.side(r.caller, 0, n)
		r.side(r.agent, 1, n)
		b := r.buf[:0]
		for _, v := range r.pcm[:2*n] {
			b = binary.LittleEndian.AppendUint16(b, uint16(v))
		}
		if _, err := r.w.Write(b); err != nil {
			return fmt.Errorf("record: write file: %w", err)
		}
		r.at += int64(n)
	}
	return nil
}

// skip leaves silence out of a stream that nobody told of: it would come all at
// once, long after it was.
func (r *Recorder) skip(until int64) (skipped bool) {
	next := until
	for _, t := range []*tap{r.caller, r.agent} {
		if at, _, ok := t.oldest(); ok {
			next = min(next, at)
		}
	}
	if next-r.at <= int64(audio.Samples(streamGap, r.rate)) {
		return false
	}
	r.at = next
	return true
}

// side puts what a tap holds of the next n samples into its channel. What
// comes too late is dropped.
func (r *Recorder) side(t *tap, channel, n int) {
	end := r.at + int64(n)
	for {
		at, pcm, ok := t.oldest()
		if !ok || at >= end {
			return
		}
		if at < r.at {
			k := int(min(r.at-at, int64(len(pcm))))
			t.dropped.Add(int64(k))
			t.take(k)
			continue
		}
		k := int(min(end-at, int64(len(pcm))))
		for i, v := range pcm[:k] {
			r.pcm[2*(int(at-r.at)+i)+channel] = v
		}
		t.take(k)
	}
}

// patch brings the header up to date.
func (r *Recorder) patch() error {
	if r.file == nil {
		return nil
	}
	for _, f := range [...]struct {
		at    int64
		value uint32
	}{
		{4, uint32(4*(r.at-r.base)) + headerSize - 8},
		{40, uint32(4 * (r.at - r.base))},
	} {
		if _, err := r.file.Seek(f.at, io.SeekStart); err != nil {
			return fmt.Errorf("record: seek in file: %w", err)
		}
		if _, err := r.w.Write(binary.LittleEndian.AppendUint32(nil, f.value)); err != nil {
			return fmt.Errorf("record: write header: %w", err)
		}
	}
	if _, err := r.file.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("record: seek in file: %w", err)
	}
	r.patched = r.at
	return nil
}
