package sockettest

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/stt"
)

// Fault is a vendor that goes wrong, and what its stream then says.
type Fault struct {
	name      string
	do        http.HandlerFunc
	want      string
	temporary bool
}

// Fails is a vendor that does that; want is part of the error's text, temporary
// tells that a second try may change it.
func Fails(name string, do http.HandlerFunc, want string, temporary bool) Fault {
	return Fault{name, do, want, temporary}
}

// Errors opens a stream to each of the faults and reads it to its end. The key
// is in no error (SEC-10).
func Errors(t *testing.T, open func(t *testing.T, url string) stt.Provider, key string, faults ...Fault) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			web := httptest.NewServer(f.do)
			t.Cleanup(web.Close)
			st, err := open(t, web.URL).Open(Soon(t), stt.Options{Format: audio.Format{Rate: 8000}})
			if err == nil {
				for range st.Events() { //nolint:revive // until they end
				}
				err = st.Err()
				_ = st.Close()
			}
			var e *stt.Error
			if !errors.As(err, &e) || e.Temporary != f.temporary || !strings.Contains(err.Error(), f.want) {
				t.Errorf("got %v (temporary %v), want %q (temporary %v)", err, e != nil && e.Temporary, f.want, f.temporary)
			}
			if strings.Contains(err.Error(), key) {
				t.Errorf("SEC-10: the key is in %v", err)
			}
		})
	}
}
