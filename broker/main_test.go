package broker_test

import (
	"testing"

	"go.uber.org/goleak"

	"fanfare/broker/natsengine/natstest"
)

func TestMain(m *testing.M) {
	natstest.Serve()
	goleak.VerifyTestMain(m)
}
