echo '{"b":1,"a":[1,{"c":true}]}' | jq -S .; echo '{"a":1}' | jq -e '.z' ; echo $?; echo '"a"' '"b"' | jq -s length; printf 'x\ny\n' | jq -R . ; echo '{"a":"é"}' | jq -r '.a'
