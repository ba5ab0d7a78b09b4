"""The words of the command line and their help. Text only: imported before anything heavy."""

from __future__ import annotations

HELP = """\
elicit: how much reasoning is latent in a base checkpoint, which method gets it out, and at what price?

  elicit method=contrastive model=organism task=chain     fit and evaluate one method, with what it is compared to
  elicit -m method=contrastive,decoding seed=1,2          all combinations of the comma-separated values
  elicit experiment=demo                                  a preset

  elicit list methods|models|tasks|strategies|experiments|evals|trackers|sweeps
  elicit show method=contrastive                          the fields of a choice: meaning, default, value
  elicit doctor [model=...]                               versions, devices, space, reachability, smoke tests
  elicit resume RUN                                       go on with an interrupted or failed run and its siblings
  elicit score GROUP|RUN                                  grade again and compare again, never sample again
  elicit compare GROUP | RUN RUN ...                      compare again from the stored samples and grades
  elicit report GROUP [template=comparison|method_card|claim|organism|PATH]   render the report again
  elicit export GROUP [format=lm-eval out=FOLDER]         the comparison in the result files of another tool
  elicit escalate GROUP [levels=64,256,1024]              ask the base again about what only a method solved
  elicit calibrate simulated=true                         coverage and false positives of the statistics, simulated
  elicit calibrate [seeds=1,2,3]                          fits on the model organisms: power and false elicitation
  elicit contamination model=... task=... [eval.limit=N]  has this base seen the evaluation items?
  elicit lens GROUP [NAME ...] [run=true text=FILE]       look into traces: validity, commitment, causality, ...
  elicit report GROUP GROUP ... template=bases            methods against several base models
  elicit workspace [group=NAME save=true]                 a wandb workspace for comparing, as JSON or saved
  elicit completion bash|zsh|fish                         what your shell sources to complete these words
  elicit grade FILE [task=gsm8k]                          grade a JSONL of {gold, output, expected}
  elicit organism build kind=positive folder=... steps=... rate=...
  elicit organism check

Groups: method method/strategy method/critic method/response model task eval tracker experiment sweep.
Settings: seed=0 root=runs group=NAME placebos=none|one|all rivals=none|one|all budget.labels=N eval.limit=N eval.n=N
          output=text|json dry_run=true template=NAME|PATH; any field of a chosen class as method.FIELD=VALUE.
Exit codes: 0 ok, 1 run failed, 2 bad configuration, 3 sweep partly failed.
"""

WORDS = (
    *("list", "show", "doctor", "grade", "score", "compare", "report", "export", "lens", "organism", "resume"),
    *("escalate", "calibrate", "contamination", "completion", "workspace"),
)
