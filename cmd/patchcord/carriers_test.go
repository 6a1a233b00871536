package main

import (
	"reflect"
	"testing"

	"github.com/patchcord/patchcord/telephony/trunk"
	"github.com/patchcord/patchcord/telephony/wsmedia"
)

// What a trunk may be is what there is a dialect for.
func TestEveryTypeOfTrunkIsSpoken(t *testing.T) {
	t.Parallel()
	if got, want := wsmedia.Types(), trunk.Carriers(); !reflect.DeepEqual(got, want) {
		t.Errorf("telephony/wsmedia speaks %v, trunks may be %v", got, want)
	}
}
