echo AB | od -An -tx1; printf 'abc' | xxd -p; printf 'hello world 1234' | hexdump -C; echo 616263 | xxd -r -p; echo; printf 'abc\n' | od -c; echo abc | xxd
