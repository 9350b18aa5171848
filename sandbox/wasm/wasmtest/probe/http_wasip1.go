package main

import (
	"fmt"
	"unsafe"
)

// The sandbox's functions, see sandbox/wasm/guest/README.md.

//go:wasmimport otelrunner http_request
func httpRequest(req unsafe.Pointer, reqLen uint32, body unsafe.Pointer, bodyLen uint32, handle unsafe.Pointer) uint32

//go:wasmimport otelrunner http_head
func httpHead(handle uint32, buf unsafe.Pointer, size uint32, n unsafe.Pointer) uint32

//go:wasmimport otelrunner http_read
func httpRead(handle uint32, buf unsafe.Pointer, size uint32, n unsafe.Pointer) uint32

//go:wasmimport otelrunner http_close
func httpClose(handle uint32) uint32

//go:wasmimport otelrunner last_error
func lastError(buf unsafe.Pointer, size uint32, n unsafe.Pointer) uint32

func get(url string) error {
	req := fmt.Appendf(nil, `{"method":"GET","url":%q,"headers":{"X-From":["guest"]}}`, url)
	body := []byte("x")
	var handle, n uint32
	buf := make([]byte, 1<<16)
	if e := httpRequest(unsafe.Pointer(&req[0]), uint32(len(req)), unsafe.Pointer(&body[0]), 0, unsafe.Pointer(&handle)); e != 0 {
		lastError(unsafe.Pointer(&buf[0]), uint32(len(buf)), unsafe.Pointer(&n))
		return fmt.Errorf("errno %d: %s", e, buf[:n])
	}
	if e := httpHead(handle, unsafe.Pointer(&buf[0]), uint32(len(buf)), unsafe.Pointer(&n)); e != 0 {
		return fmt.Errorf("head: errno %d", e)
	}
	fmt.Printf("head %s\n", buf[:n])
	total := 0
	for {
		if e := httpRead(handle, unsafe.Pointer(&buf[0]), uint32(len(buf)), unsafe.Pointer(&n)); e != 0 {
			return fmt.Errorf("read: errno %d", e)
		}
		if n == 0 {
			break
		}
		if total == 0 {
			fmt.Printf("body %s\n", buf[:min(n, 40)])
		}
		total += int(n)
	}
	fmt.Printf("%d bytes\n", total)
	if e := httpClose(handle); e != 0 {
		return fmt.Errorf("close: errno %d", e)
	}
	return nil
}
