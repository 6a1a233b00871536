package dialer

// The events of campaigns. Those of the runner come from the node that saw to it;
// started, resumed and cancelled from where somebody asked for it.
const (
	EventStarted   = "campaign.started"
	EventPaused    = "campaign.paused"
	EventResumed   = "campaign.resumed"
	EventCancelled = "campaign.cancelled"
	EventCompleted = "campaign.completed"
	EventAttempt   = "attempt.finished"
)

// News is what became of a campaign, or of one of its attempts.
type News struct {
	Name     string // of its event
	Campaign Campaign
	Reason   string // of a campaign that does not run any more

	Attempt Attempt // of EventAttempt
	Result  Result
}

// masked is a number for logs: what it begins and ends with.
func masked(number string) string {
	if len(number) < 8 {
		return "…"
	}
	return number[:3] + "…" + number[len(number)-2:]
}
