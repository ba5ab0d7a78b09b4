"""The methods of the workbench, one folder a method. The core (`elicit`) never imports this package."""
