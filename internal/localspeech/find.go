package localspeech

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Name is the helper's file name.
const Name = "localspeech"

// Find is where the helper is: path itself when it is given, else beside the
// running binary, else on PATH.
func Find(path string) (string, error) {
	if path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("localspeech: find helper: %w", err)
		}
		return path, nil
	}
	self, err := os.Executable()
	if err == nil {
		beside := filepath.Join(filepath.Dir(self), Name)
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return beside, nil
		}
	}
	found, err := exec.LookPath(Name)
	if err != nil {
		return "", fmt.Errorf("localspeech: no helper %q beside %s and none on PATH: "+
			"build it there (go build ./cmd/localspeech), or set its path", Name, self)
	}
	return found, nil
}
