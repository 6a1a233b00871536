package load

import (
	"container/heap"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	headerSize = 12 // bytes of RTP (RFC 3550 section 5.1)
	packetSize = headerSize + frameSamples
	// behind is how late the pump may be before frames are skipped.
	behind = 200 * time.Millisecond
)

// stream is the sound of one call, both ways. It belongs to the pump's thread
// until its done is closed.
type stream struct {
	sock   *socket
	caller *caller
	talker *talker
	words  [][frameSamples]byte
	due    time.Duration
	phase  float64 // where in the 20 ms its packets leave, 0 to 1
	ssrc   uint32
	ts     uint32
	seq    uint16
	over   atomic.Bool
	hush   atomic.Bool // the caller says nothing more
	done   chan struct{}
}

// spread puts calls evenly into the 20 ms, whatever their number: the golden
// ratio's multiples.
const spread = 0.6180339887

func newStream(sock *socket, c *caller, t Talk, i int) *stream {
	t = t.withDefaults()
	turn := float64(i+1) * spread
	return &stream{
		sock: sock, caller: c, talker: newTalker(t, time.Now().UnixNano()), phase: turn - float64(int(turn)),
		words: utterance(int(t.Say / frameTime)), done: make(chan struct{}),
		ssrc: rand.Uint32(), ts: rand.Uint32(), seq: uint16(rand.Uint32()), //nolint:gosec // a load test keeps no secret
	}
}

// end stops the stream and waits for the pump to let go.
func (s *stream) end() {
	s.over.Store(true)
	<-s.done
	s.caller.said, s.caller.dead = s.talker.whole(), s.talker.dead
}

// serve reads what has come and sends the next packet.
func (s *stream) serve(p *pump) {
	s.sock.read(func(b []byte, at int64) {
		if len(b) < headerSize || b[0]>>6 != 2 || b[1]&0x7F != 0 {
			return // RTCP, or not ours
		}
		pk := Packet{
			At: at, Seq: binary.BigEndian.Uint16(b[2:]), TS: binary.BigEndian.Uint32(b[4:]),
			Loud: loud(b[headerSize:]),
		}
		s.caller.packets = append(s.caller.packets, pk)
		s.talker.hear(at, pk.Loud)
	})
	payload := &silence
	now := time.Now().UnixNano()
	if s.hush.Load() {
		s.talker.hush()
	} else if n, speaks := s.talker.next(now); speaks {
		payload = &s.words[n]
	}
	b := p.buf[:]
	b[0], b[1] = 0x80, 0
	binary.BigEndian.PutUint16(b[2:], s.seq)
	binary.BigEndian.PutUint32(b[4:], s.ts)
	binary.BigEndian.PutUint32(b[8:], s.ssrc)
	copy(b[headerSize:], payload[:])
	s.sock.write(b)
	s.seq++
	s.ts += frameSamples
}

// pump is the thread that serves all streams.
type pump struct {
	wake chan struct{} // capacity 1: one token says look again

	mu       sync.Mutex // guards incoming
	incoming []*stream

	// The rest belongs to the thread.
	queue queue
	late  []int64 // how late packets left, ns
	buf   [packetSize]byte
}

func newPump() *pump { return &pump{wake: make(chan struct{}, 1)} }

func (p *pump) add(s *stream) {
	p.mu.Lock()
	p.incoming = append(p.incoming, s)
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run serves until stop is closed and no stream is left.
func (p *pump) run(stop <-chan struct{}) {
	runtime.LockOSThread() // never unlocked: the thread's timer slack is changed, it ends with the goroutine
	c := newClock()
	for {
		p.take(c.now())
		if len(p.queue) == 0 {
			select {
			case <-p.wake:
				continue
			case <-stop:
				return
			}
		}
		s := p.queue[0]
		c.sleepUntil(s.due)
		if s.over.Load() {
			heap.Pop(&p.queue)
			close(s.done)
			continue
		}
		late := c.now() - s.due
		p.late = append(p.late, int64(late))
		if late > behind {
			frames := late / frameTime
			s.due += frames * frameTime
			s.ts += uint32(frames) * frameSamples
		}
		s.serve(p)
		s.due += frameTime
		heap.Fix(&p.queue, 0)
	}
}

func (p *pump) take(now time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.incoming {
		s.due = now/frameTime*frameTime + frameTime + time.Duration(s.phase*frameTime)
		heap.Push(&p.queue, s)
	}
	p.incoming = p.incoming[:0]
}

// queue has the stream that is due first at its head.
type queue []*stream

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due < q[j].due }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push adds a stream.
func (q *queue) Push(x any) { *q = append(*q, x.(*stream)) }

// Pop takes the last one.
func (q *queue) Pop() any {
	last := len(*q) - 1
	s := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return s
}
