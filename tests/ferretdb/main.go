// Command ferretdb speaks MongoDB's protocol on a port of loopback, for the tests of the MongoDB
// store: ferretdb <port> <folder>. It ends when its standard input does.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"runtime/debug"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: ferretdb <port> <folder>")
	}
	// Little is held and much is made: collecting it less often is a quarter of the time.
	debug.SetGCPercent(400)
	server, err := ferretdb.New(&ferretdb.Config{
		Listener: ferretdb.ListenerConfig{TCP: "127.0.0.1:" + os.Args[1]},
		Handler:  "sqlite",
		// A killed process loses nothing this way; only a machine without power would.
		SQLiteURL: "file:" + os.Args[2] + "/?_pragma=synchronous(off)",
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	if err := server.Run(ctx); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}
