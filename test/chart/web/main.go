// Command web answers HTTP requests on :8080 with the name of the machine that it runs on, which in a Pod is the Pod's name.
package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	name, err := os.Hostname()
	if err == nil {
		err = http.ListenAndServe(":8080", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(w, name)
		}))
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
