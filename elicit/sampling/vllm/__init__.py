"""vLLM as a second engine under the step loop's protocol and keys. Start with engine.py, then live.py and rows.py.

engine.py     starts vLLM for a checkpoint, applies a policy's edits to it, checks both (guard.py)
loop.py       VllmLoop: `policy.decoding.Loop` over a running engine
live.py       one run: requests in, tokens and scalars out, endings by our own rules
rows.py       the draw of a token per row with the job's own uniform numbers: plain torch, tested without vLLM
residuals.py  activation edits on vLLM's blocks, at absolute positions
client.py     what a run needs of vLLM; plugin.py: the classes that vLLM itself loads. Only these two import vllm
"""
