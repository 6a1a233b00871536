package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/patchcord/patchcord/engine/agent"
)

// A disk that takes nothing ends the recording, which is told once, and not the
// call: one that is full at the start, and one that gets full.
func TestAFullDiskEndsTheRecording(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("late %v", late), func(t *testing.T) {
			dir, fd := t.TempDir(), -1
			target := "/dev/full"
			if late {
				var err error
				if fd, err = unix.MemfdCreate("recording", unix.MFD_ALLOW_SEALING); err != nil {
					t.Skip(err)
				}
				defer func() { _ = unix.Close(fd) }()
				target = fmt.Sprintf("/proc/self/fd/%d", fd)
			}
			if err := os.Symlink(target, filepath.Join(dir, "0190.wav")); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				k := prepare(t, &agent.Agent{Name: "a", Greeting: "Hello."}, says("It is open."))
				k.cfg.RecordingDir = dir
				k.start().wait(3 * time.Second)
				if late {
					k.not(`"event":"recording.failed"`)
					if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_GROW); err != nil {
						t.Fatal(err)
					}
				}
				k.say("When do you open?", time.Second).wait(3*time.Second).
					want(`"event":"recording.failed"`, `"error":`, `"heard_text":"It is open."`).hangUp()
				n := 0
				for _, e := range k.log.events {
					if e.Name == EventRecordingFailed {
						n++
					}
				}
				if n != 1 {
					t.Errorf("told %d times", n)
				}
			})
		})
	}
}
