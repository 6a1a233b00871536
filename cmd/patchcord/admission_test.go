package main

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/rtp"
)

func TestOneStallRefusesNobody(t *testing.T) {
	t.Parallel()
	at := time.Now()
	var l lateness
	for _, c := range []struct {
		name  string
		after time.Duration
		load  rtp.Load
		want  bool
	}{
		{"in time", 0, rtp.Load{Sessions: 100, OverrunP99: time.Millisecond}, false},
		{"held up once", time.Second, rtp.Load{Sessions: 100, OverrunP99: 35 * time.Millisecond}, false},
		{"in time again", 2 * time.Second, rtp.Load{Sessions: 100, OverrunP99: time.Millisecond}, false},
		{"late", 10 * time.Second, rtp.Load{Sessions: 100, OverrunP99: 15 * time.Millisecond}, false},
		{"still late", 12 * time.Second, rtp.Load{Sessions: 100, OverrunP99: 15 * time.Millisecond}, false},
		{"late for two windows", 14 * time.Second, rtp.Load{Sessions: 100, OverrunP99: 15 * time.Millisecond}, true},
		{"late with few calls", 15 * time.Second, rtp.Load{Sessions: 10, OverrunP99: 15 * time.Millisecond}, false},
		{"late anew", 16 * time.Second, rtp.Load{Sessions: 100, OverrunP99: 15 * time.Millisecond}, false},
		{"nobody called for long", 40 * time.Second, rtp.Load{Sessions: 100, OverrunP99: 15 * time.Millisecond}, false},
	} {
		if got := l.busy(c.load, at.Add(c.after)); got != c.want {
			t.Errorf("%s: busy is %v", c.name, got)
		}
	}
}

// Each bound refuses a call by itself, and the log says which, now and then
// (reliability.md 5.5).
func TestAdmission(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		load rtp.Load
		used int64 // of a memory of 100
		up   int   // calls of 3, one of which is kept
		of   telephony.TrunkID
		want string // why it is refused
	}{
		{name: "nothing goes on", load: rtp.Load{FreePorts: 100}},
		{name: "no ports", load: rtp.Load{FreePorts: spareRTP - 1}, want: "rtp.ports are used up"},
		{name: "memory in use", load: rtp.Load{FreePorts: 100}, used: 90},
		{name: "no memory", load: rtp.Load{FreePorts: 100}, used: 91, want: "the memory limit is near"},
		{name: "the last call", load: rtp.Load{FreePorts: 100}, up: 1},
		{name: "too many calls", load: rtp.Load{FreePorts: 100}, up: 2, want: "limits.max_calls are up"},
		{name: "one that the place is kept for", load: rtp.Load{FreePorts: 100}, up: 2, of: "emergency"},
		{name: "too many of those", load: rtp.Load{FreePorts: 100}, up: 3, of: "emergency", want: "limits.max_calls are up"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e, err := engine.New(engine.Config{Directory: nobody{}, Journal: journals{}, MaxCalls: 3, Reserved: 1})
			if err != nil {
				t.Fatal(err)
			}
			for i := range c.up {
				e.Admit(telephony.CallID(rune('a'+i)), true)
			}
			core, logs := observer.New(zapcore.InfoLevel)
			a := &admission{
				engine: e, load: func() rtp.Load { return c.load }, urgent: []string{"emergency"}, log: zap.New(core),
				memory: memory{read: func() use { return use{c.used, 100} }},
			}
			if _, ok := a.room(telephony.Info{}); ok != (c.want == "" && c.of == "") {
				t.Errorf("room for a call without a trunk: %v", ok)
			}
			logs.TakeAll()
			a.reason = ""
			for range 3 {
				ok := a.admit("new", c.of)
				if ok != (c.want == "") {
					t.Errorf("admitted: %v", ok)
				}
				e.Leave("new")
			}
			lines := logs.TakeAll()
			if c.want == "" && len(lines) > 0 || c.want != "" && (len(lines) != 1 || lines[0].ContextMap()["reason"] != c.want) {
				t.Errorf("the log has %v", lines)
			}
		})
	}
}

// nobody is a directory without agents.
type nobody struct{ engine.Directory }

// A busy machine refuses calls by itself.
func TestLatenessRefuses(t *testing.T) {
	t.Parallel()
	a := &admission{memory: memory{read: func() use { return use{0, 1} }}}
	late, now := rtp.Load{FreePorts: 100, Sessions: 60, OverrunP99: 20 * time.Millisecond}, time.Now()
	for _, after := range []time.Duration{0, 2 * time.Second} {
		if why := a.full(late, now.Add(after)); why != "" {
			t.Errorf("late for %v: %s", after, why)
		}
	}
	if why := a.full(late, now.Add(4*time.Second)); why != "the machine is busy" {
		t.Errorf("late for 4 s: %q", why)
	}
	if why := a.full(rtp.Load{FreePorts: 100}, now.Add(5*time.Second)); why != "" {
		t.Errorf("in time again: %q", why)
	}
}

// The memory is not looked at for each call.
func TestMemoryIsLookedAtNowAndThen(t *testing.T) {
	t.Parallel()
	looks, used := 0, int64(0)
	m := memory{read: func() use { looks++; return use{used, 100} }}
	now := time.Now()
	for i := range 1000 {
		if m.full(now.Add(time.Duration(i) * time.Millisecond)) {
			t.Error("full")
		}
	}
	if looks != 4 {
		t.Errorf("%d looks in a second, want 4", looks)
	}
	used = 95
	if !m.full(now.Add(2 * time.Second)) {
		t.Error("not full")
	}
}

// What the collector would free counts for nothing.
func TestMemoryNow(t *testing.T) {
	before := memoryNow()
	if before.used <= 0 || before.used > 16<<30 || before.limit <= 0 {
		t.Fatalf("%+v", before)
	}
	kept := make([]byte, 64<<20)
	for i := range kept {
		kept[i] = byte(i)
	}
	runtime.GC()
	with := memoryNow()
	if grown := with.used - before.used; grown < 48<<20 {
		t.Errorf("64 MB in use are %d MB", grown>>20)
	}
	runtime.KeepAlive(kept)
	runtime.GC()
	if left := memoryNow().used - before.used; left > 32<<20 {
		t.Errorf("freed, %d MB are left", left>>20)
	}
}

func TestCgroupMemory(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		files map[string]string
		want  int64 // 0: none
	}{
		{"none", nil, 0},
		{"version 2", map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "1073741824\n"}, 1 << 30},
		{"of the one above", map[string]string{
			"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "536870912\n",
		}, 1 << 29},
		{"no limit", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 0},
		{"version 1", map[string]string{
			"proc/self/cgroup": "5:cpu:/x\n4:memory:/x\n", "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "268435456\n",
		}, 1 << 28},
		{"version 1 without", map[string]string{
			"proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, 0},
		{"of a namespace", map[string]string{"proc/self/cgroup": "0::/../..\n", "sys/fs/cgroup/memory.max": "1000\n"}, 1000},
		{"nonsense", map[string]string{"proc/self/cgroup": "x\n::\n0::\n", "sys/fs/cgroup/memory.max": "much\n"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			for name, text := range c.files {
				path := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, ok := cgroupMemory(root)
			if ok != (c.want != 0) || ok && got != c.want {
				t.Errorf("%d, %v; want %d", got, ok, c.want)
			}
		})
	}
}

// limits.max_calls: 0 is what the machine is measured to carry.
func TestMeasuredCalls(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cost       time.Duration
		processors int
		want       int
	}{
		{time.Microsecond, 2, 1090},
		{time.Microsecond, 1, 545},
		{2 * time.Microsecond, 2, 545},
		{time.Second, 1, leastCalls},
		{0, 64, mostCalls},
	} {
		if got := carries(c.cost, c.processors); got != c.want {
			t.Errorf("%v on %d processors carry %d calls, want %d", c.cost, c.processors, got, c.want)
		}
	}
	if n := maxCalls(7, zap.NewNop()); n != 7 {
		t.Errorf("%d, want what is configured", n)
	}
	core, logs := observer.New(zapcore.InfoLevel)
	if n := maxCalls(0, zap.New(core)); n < leastCalls || n > mostCalls || logs.Len() != 1 ||
		!strings.Contains(logs.All()[0].Message, "measured") {
		t.Errorf("%d measured, log %v", n, logs.All())
	}
	cost, err := frameCost()
	if err != nil || cost <= 0 || cost > math.MaxInt32 {
		t.Errorf("a frame takes %v, %v", cost, err)
	}
	t.Logf("a frame takes %v here: %d calls", cost, carries(cost, runtime.GOMAXPROCS(0)))
}
