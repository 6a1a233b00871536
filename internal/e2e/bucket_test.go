//go:build e2e

package e2e

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestRecordingGoesToABucket: a call's recording is in the bucket once the call is
// over, nothing of it is left at the node, and the API plays it from there.
func TestRecordingGoesToABucket(t *testing.T) {
	t.Parallel()
	line := openLine(t, 1000, nil)
	dir := t.TempDir()
	e := serve(t, silent+"recording: {dir: \"file://"+dir+"/bucket?create_dir=true&no_tmp_dir=true\"}\ndialing: {allow: [\"sip:"+line.host+"\"]}\n",
		map[string]string{"support.yaml": silentAgent + "max_call_duration: 5s\n"})
	status, made := e.post(t, "/v1/calls", map[string]any{"agent_id": "support", "to": "sip:line@" + line.addr})
	id := text(made["id"])
	if status != http.StatusCreated {
		t.Fatalf("dial: %d %v", status, made)
	}
	line.take(t, 1, 20*time.Second)
	var files []string
	eventually(t, 20*time.Second, "the recording is in the bucket", func() bool {
		files = nil
		_ = filepath.WalkDir(filepath.Join(dir, "bucket"), func(path string, d os.DirEntry, err error) error {
			if err == nil && filepath.Ext(path) == ".wav" {
				files = append(files, path)
			}
			return nil
		})
		return len(files) == 1
	})
	eventually(t, 10*time.Second, "nothing is left at the node", func() bool {
		left, err := filepath.Glob(filepath.Join(e.dir, "recordings", "*"))
		return err == nil && len(left) == 0
	})
	res, err := http.Get(e.http + "/v1/calls/" + id + "/recording") //nolint:noctx // it ends with the engine
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%d, %v: %.200s", res.StatusCode, err, got)
	}
	played := filepath.Join(dir, "played.wav")
	write(t, played, string(got))
	channels, rate, err := readWAV(played)
	if err != nil || len(channels) != 2 {
		t.Fatal(len(channels), err)
	}
	wantTone(t, "the left side, as the API plays it", channels[0], rate, 1000, 440, 3*time.Second)
	if h := listen(channels[1], rate, 440, 1000); h.tone < time.Second || h.other > 0.01 {
		t.Errorf("the right side holds 440 Hz for %v with %.2f %% of the callee in it", h.tone, 100*h.other)
	}
	kept, err := os.ReadFile(files[0])
	if err != nil || string(kept) != string(got) {
		t.Errorf("the API plays %d bytes, the bucket has %d, %v", len(got), len(kept), err)
	}
	e.stop(t)
}
