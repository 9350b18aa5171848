echo x=1 > f; sed -i 's/1/2/' f; cat f; sed -i.bak 's/2/3/' f; cat f f.bak; echo Hello | sed 'y/elo/ipa/'; echo hi | sed 's/.*/\U&/'
